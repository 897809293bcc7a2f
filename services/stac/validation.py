"""Checks items and collections against the JSON schemas of STAC and the extensions they name, off line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator, ValidationError

SHIPPED = Path(__file__).with_name("schemas")
CORE = "https://schemas.stacspec.org/v{version}/item-spec/json-schema/item.json"
CORE_OF_COLLECTIONS = "https://schemas.stacspec.org/v{version}/collection-spec/json-schema/collection.json"
VERSIONS = ("1.0.0", "1.1.0")
"""Of STAC, whose schemas ship."""
MAX_ERRORS = 50
LONGEST_REASON = 500
_ADDRESS = re.compile(r"https?://([\w-][\w.-]*(?:/[\w.~+-]+)+)", re.ASCII)
"""Host and path of a schema's address; others come from items, and are no names of files."""
LONGEST_ADDRESS = 200


@dataclass(frozen=True)
class SchemaError:
    """`path` is where in the item, such as `properties.datetime`; `schema` the one that is not met."""

    path: str
    reason: str
    schema: str


@dataclass(frozen=True)
class Validation:
    """`errors` is empty for a valid item; `unknown` are schemas it names that are not at hand, and theirs."""

    errors: tuple[SchemaError, ...]
    unknown: tuple[str, ...] = ()


class ItemValidator:
    """Validates items and collections. Reads each schema once; any number of threads.

    `folders` hold schemas where their URLs say: `HOST/PATH`.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = (SHIPPED, *folders)
        self._validators: dict[str, Draft7Validator | None] = {}
        self._missing: dict[str, list[str]] = {}

    def validate(self, item: Mapping[str, JsonValue]) -> Validation:
        """Everything that is wrong with an item or a collection, at most `MAX_ERRORS`."""
        version, extensions = item.get("stac_version"), item.get("stac_extensions", [])
        template = CORE_OF_COLLECTIONS if item.get("type") == "Collection" else CORE
        core = template.format(version=version)
        if not isinstance(version, str) or self._validator(core) is None:
            known = ", ".join(VERSIONS)
            reason = f"no schema of this version is at hand: {version!r}; known are {known}"[:LONGEST_REASON]
            return Validation((SchemaError("stac_version", reason, template),))
        named = [uri for uri in extensions if isinstance(uri, str)] if isinstance(extensions, list) else []
        errors = [error for uri in (core, *dict.fromkeys(named)) for error in self._errors(uri, item)]
        unknown = [uri for uri in named if self._validator(uri) is None]
        unknown += [missing for uri in named for missing in self._missing.get(uri, [])]
        return Validation(tuple(dict.fromkeys(errors))[:MAX_ERRORS], tuple(dict.fromkeys(unknown)))

    def _errors(self, uri: str, item: Mapping[str, JsonValue]) -> Iterator[SchemaError]:
        validator = self._validator(uri)
        if validator is None or validator.is_valid(item):
            return
        for error in validator.iter_errors(item):
            cause = _cause(error)
            path = ".".join(map(str, cause.instance_path)) or "item"
            yield SchemaError(path, cause.message[:LONGEST_REASON], uri)

    def _validator(self, uri: str) -> Draft7Validator | None:
        uri = uri.partition("#")[0]
        if uri not in self._validators:
            self._validators[uri] = self._made(uri)
        return self._validators[uri]

    def _made(self, uri: str) -> Draft7Validator | None:
        from jsonschema_rs import Draft7Validator, ReferencingError, ValidationError

        schema = self._read(uri)
        if schema is None:
            return None
        missing = self._missing.setdefault(uri, [])

        def retrieve(reference: str) -> dict[str, Any]:
            found = self._read(reference)
            if found is None:
                missing.append(reference)
            # What is not at hand is met by everything, and named in the result.
            return found or {}

        try:
            return Draft7Validator(schema, validate_formats=True, retriever=retrieve)
        except (ValidationError, ReferencingError):
            return None  # What is no schema is none that is at hand.

    def _read(self, uri: str) -> dict[str, Any] | None:
        address = _ADDRESS.fullmatch(uri)
        if address is None or len(uri) > LONGEST_ADDRESS:
            return None
        for folder in self._folders:
            root = folder.resolve()
            path = (root / address[1]).resolve()
            # Items say the address: it must not lead elsewhere, by dots or links.
            if path.is_relative_to(root) and path.is_file():
                return _schema(path, uri)
        return None


def _schema(path: Path, uri: str) -> dict[str, Any] | None:
    """With its own address, since what it calls itself is misspelled in some. None for what is no object."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return {**content, "$id": uri} if isinstance(content, dict) else None


def _cause(error: ValidationError) -> ValidationError:
    """What is wrong in the one of several alternatives that is meant.

    That is the one that is for this type of thing, if there is one, and the one with the fewest errors.
    """
    while alternatives := [errors for errors in getattr(error.kind, "context", []) if errors]:
        depth = len(error.instance_path)
        meant = min(
            alternatives, key=lambda errors: (any(_is_of_type(one, depth) for one in errors), len(errors))
        )
        error = meant[0]
    return error


def _is_of_type(error: ValidationError, depth: int) -> bool:
    """Whether an alternative is for another type: of JSON, or as named by a member "type"."""
    path = error.instance_path[depth:]
    named = error.kind.name in ("const", "enum") and path[-1:] == ["type"]
    # Further down it is a mistake of what is meant.
    return named or (len(path) <= 1 and (error.kind.name == "type" or error.instance is None))
