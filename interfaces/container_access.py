"""Which containers jobs may read and write: an allow-list of each kind, and what is never on it.

A container is named by a field of a model that bears `Read` or `Written`: of a job's parameters when they are
submitted and when a stage of it is planned, of a task's parameters when it runs (docs/adr/0023).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from .containers import Read, Written
from .errors import FieldError, InvalidParameters
from .settings import Settings

PLATFORM_CONTAINERS = (
    "azure-webjobs-*",
    "azure-functions-*",
    "app-package-*",
    "deploymentpackage",
    "scm-releases",
    "function-releases",
    "insights-logs-*",
    "insights-metrics-*",
    "bootdiagnostics-*",
)
"""Where the platform keeps an app's keys, locks, packages and logs, by the names that it gives by itself:
whoever writes a package runs code, whoever reads keys is an operator.
https://learn.microsoft.com/azure/azure-functions/storage-considerations#storage-account-guidance"""

_ORDINARY = re.compile(r"[a-z0-9-]+")
"""Others are the account's own, such as `$root`, `$web` and `$logs`."""

Mark = Read | Written


class ContainerAccess:
    """Says of a container whether jobs may read or write it."""

    def __init__(self, settings: Settings) -> None:
        self._own = {
            settings.scratch_container: "scratch blobs",
            settings.results_container: "results",
            settings.retention_archive_container: "the archive of runs",
        }
        self._platform = _patterns(",".join((*PLATFORM_CONTAINERS, settings.reserved_containers)))
        self._read = _patterns(settings.source_containers)
        self._written = _patterns(settings.target_containers)

    def why_not_read(self, name: str) -> str | None:
        """Why jobs must not read this container; None when they may."""
        return self._reserved(name) or self._unlisted(name, self._read, "source_containers")

    def why_not_written(self, name: str) -> str | None:
        """Why jobs must not write this container; None when they may."""
        return self._reserved(name) or self._unlisted(name, self._written, "target_containers")

    def why_not_seen(self, name: str) -> str | None:
        """Why jobs must not look into this container; what may be written may be looked at, too."""
        return self.why_not_read(name) and self.why_not_written(name)

    def check(self, model: BaseModel, prefix: str = "") -> None:
        """Refuse a model that names a container of which its field is not allowed to make use.

        Raises `InvalidParameters` naming the fields, below `prefix`.
        """
        errors = [
            FieldError(field=field, reason=reason)
            for field, name, mark in named(model, prefix)
            if (reason := self.why_not_written(name) if mark is Written else self.why_not_read(name))
        ]
        if errors:
            raise InvalidParameters("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors)

    def _reserved(self, name: str) -> str | None:
        if holds := self._own.get(name):
            return f"{name} is this app's own container of {holds}; choose another one"
        if self._platform.fullmatch(name) or not _ORDINARY.fullmatch(name):
            return f"{name} is a container of the platform's, or reserved; choose another one"
        return None

    def _unlisted(self, name: str, allowed: re.Pattern[str], setting: str) -> str | None:
        return (
            None if allowed.fullmatch(name) else f"{name} is not one of the containers that {setting} allows"
        )


def named(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, type[Mark]]]:
    """Every container that a model names: its field as a dotted path, the name, and what is done with it."""
    start = f"{prefix}." if prefix else ""
    for field, mark in marked_fields(type(model)):
        name = getattr(model, field)
        if isinstance(name, str):
            yield f"{start}{field}", name, mark
    for field in _holding_models(type(model)):
        value = getattr(model, field)
        items = value if isinstance(value, list | tuple) else [value]
        for index, item in enumerate(items):
            if isinstance(item, BaseModel):
                yield from named(item, f"{start}{field}.{index}" if items is value else f"{start}{field}")


@lru_cache(maxsize=512)
def marked_fields(model: type[BaseModel]) -> list[tuple[str, type[Mark]]]:
    """The fields of a model that name containers, not those of models inside it."""
    return [
        (field, type(part))
        for field, info in model.model_fields.items()
        for part in [*info.metadata, *_parts(info.annotation)]
        if isinstance(part, Read | Written)
    ]


@lru_cache(maxsize=512)
def _holding_models(model: type[BaseModel]) -> list[str]:
    return [
        field
        for field, info in model.model_fields.items()
        if any(isinstance(part, type) and issubclass(part, BaseModel) for part in _parts(info.annotation))
    ]


def _parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: types and marks, through unions, lists and `Annotated`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from annotation.__metadata__
        yield from _parts(annotation.__origin__)
    elif origin in (Union, UnionType, list, tuple):
        for argument in get_args(annotation):
            yield from _parts(argument)
    else:
        yield annotation


def _patterns(text: str) -> re.Pattern[str]:
    """One pattern of a list with commas, in which `*` stands for anything; what is empty fits nothing."""
    alternatives = [
        re.escape(pattern.strip()).replace(r"\*", ".*") for pattern in text.split(",") if pattern.strip()
    ]
    return re.compile("|".join(alternatives) if alternatives else r"(?!)")
