"""Second stage of stac_validate: checks each item of a range, without any network but our own storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from interfaces.blobs import BlobRepository
from interfaces.catalog_items import EVERY_ITEM, CatalogItems, ItemFilter
from interfaces.containers import OTHER
from interfaces.contracts import Contract
from interfaces.errors import AccessDenied, BlobNotFound, ContainerNotFound, InvalidRequest
from interfaces.workflows import TaskContext

from .ranges import RangeParameters
from .validation import ItemValidator, Validation

PAGE = 250
"""Items read at once."""
MAX_ERRORS = 5
"""Of one item: most are the same mistake, seen by several schemas."""
MAX_LISTED_BYTES = 400_000
"""Of what a range lists, as JSON: results over 1 MiB are kept apart, where they cannot be added up."""
MAX_SCHEMAS = 100
"""Distinct ones that are counted by name; the rest is counted as `(other)`."""


class ValidateItemsParameters(RangeParameters):
    """A range, and how closely its items are looked at."""

    wanted: ItemFilter = EVERY_ITEM
    check_assets: bool = False


class Reject(Contract):
    """What an item, or the collection, does not meet of one of its schemas."""

    id: str
    schema_url: str
    path: str
    """Where in the item, such as `properties.datetime`."""
    reason: str


class MissingAsset(Contract):
    """A file in our storage that an item refers to, and that cannot be read."""

    id: str
    asset: str
    href: str
    reason: str


class AssetCounts(Contract):
    """Assets by what was found of them."""

    found: int = 0
    missing: int = 0
    elsewhere: int = 0
    """Not in our storage: nothing is asked of others."""


class ValidateItemsResult(Contract):
    """What was found. `rejects` has the mistakes of the invalid items, up to a few of each."""

    collection: str
    items: int
    valid: int
    invalid: int
    rejects: list[Reject]
    not_listed: int
    """Rejects and missing files that are counted, but of which there are too many to be listed."""
    collection_rejects: list[Reject]
    """Of the collection's own document, which the task of the first range looks at."""
    unknown_schemas: dict[str, int]
    """Schemas that documents name and that are not at hand, and how many do."""
    assets: AssetCounts | None
    missing_assets: list[MissingAsset]


class ValidateItems:
    """Validates one range. An invalid item is a result, not a failure."""

    def __init__(self, items: CatalogItems, blobs: BlobRepository, validator: ItemValidator) -> None:
        self._items = items
        self._blobs = blobs
        self._validator = validator

    def __call__(self, parameters: ValidateItemsParameters, context: TaskContext) -> ValidateItemsResult:
        """Validate each item as the API serves it."""
        count = invalid = 0
        listed = _Listed()
        unknown: Counter[str] = Counter()
        assets: Counter[str] = Counter()
        for page in self._items.items(parameters.part, parameters.wanted, PAGE):
            for item in page:
                context.check()
                count += 1
                validation = self._validator.validate(as_served(item))
                _count(unknown, validation)
                invalid += bool(validation.errors)
                listed.add(_rejects(item["id"], validation))
                if parameters.check_assets:
                    listed.add(self._missing(item, assets))
        own: list[Reject] = []
        if parameters.number == 0:
            validation = self._validator.validate(self._items.document(parameters.collection))
            _count(unknown, validation)
            own = _rejects(parameters.collection, validation)
        return ValidateItemsResult(
            collection=parameters.collection,
            items=count,
            valid=count - invalid,
            invalid=invalid,
            rejects=listed.rejects,
            not_listed=listed.left_out,
            collection_rejects=own,
            unknown_schemas=dict(sorted(unknown.items())),
            assets=AssetCounts(**assets) if parameters.check_assets else None,
            missing_assets=listed.missing,
        )

    def _missing(self, item: Mapping[str, Any], counts: Counter[str]) -> Iterator[MissingAsset]:
        for key, asset in _assets(item):
            href = asset.get("href")
            place = self._place(href) if isinstance(href, str) else None
            if place is None:
                counts["elsewhere"] += 1
                continue
            try:
                self._blobs.properties(*place)
            except (BlobNotFound, ContainerNotFound, AccessDenied, InvalidRequest) as error:
                counts["missing"] += 1
                yield MissingAsset(id=item["id"], asset=key, href=str(href), reason=error.detail)
            else:
                counts["found"] += 1

    def _place(self, href: str) -> tuple[str, str] | None:
        """Container and name of a blob of our own storage account; None for any other address."""
        # What is left of an address without the container and the name is the account.
        account = self._blobs.url("a", "b").removesuffix("/a/b") + "/"
        if not href.startswith(account):
            return None
        container, _, name = href.removeprefix(account).partition("?")[0].partition("/")
        return (container, unquote(name)) if container and name else None


class _Listed:
    """What a result lists, as long as there is room in it."""

    def __init__(self) -> None:
        self.rejects: list[Reject] = []
        self.missing: list[MissingAsset] = []
        self.left_out = 0
        self._room = MAX_LISTED_BYTES

    def add(self, found: Iterable[Reject | MissingAsset]) -> None:
        for one in found:
            self._room -= len(one.model_dump_json())
            if self._room < 0:
                self.left_out += 1
            elif isinstance(one, Reject):
                self.rejects.append(one)
            else:
                self.missing.append(one)


def _count(unknown: Counter[str], validation: Validation) -> None:
    for uri in validation.unknown:
        unknown[uri if uri in unknown or len(unknown) < MAX_SCHEMAS else OTHER] += 1


def as_served(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The item with the link to its collection, which the API adds and the schemas ask for."""
    links = item.get("links", [])
    with suppress(TypeError, AttributeError):
        if any(link.get("rel") == "collection" for link in links):
            return item
        return {**item, "links": [*links, {"rel": "collection", "href": f"../{item['collection']}"}]}
    # Links of no such shape are for the schema to find.
    return item


def _rejects(identifier: str, validation: Validation) -> list[Reject]:
    return [
        Reject(id=identifier, schema_url=one.schema, path=one.path, reason=one.reason)
        for one in validation.errors[:MAX_ERRORS]
    ]


def _assets(item: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    assets = item.get("assets")
    for key, asset in assets.items() if isinstance(assets, Mapping) else ():
        if isinstance(asset, Mapping):
            yield key, asset
