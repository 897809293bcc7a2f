"""The STAC catalog in the database: what is installed of pgstac, and the port through which it is filled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import JsonValue

from .contracts import Contract
from .errors import Conflict, NotFound

PartitionBy = Literal["none", "year", "month"]
_RELEASE = re.compile(r"(\d+)\.(\d+)\.")


class CatalogNotSetUp(Conflict):
    """The database has no pgstac, or none that this release can work with: the job stac_setup mends it."""

    title = "Catalog not set up"


class CatalogRefused(Conflict):
    """pgstac cannot be installed or migrated here; the detail says what is needed."""

    title = "Catalog refused"


class CollectionNotFound(NotFound):
    """The catalog has no collection of this id."""

    title = "Collection not found"


class ItemsRefused(Conflict):
    """The database does not take at least one of these items; none was loaded. The detail is its reason."""

    title = "Items refused"


class CatalogState(Contract):
    """pgstac as the database has it, and as this release brings it."""

    installed: str | None
    """Version in the database; None where there is none."""
    library: str
    """Version that this release installs."""
    extensions: dict[str, str | None]
    """Version of each extension that pgstac needs; None where it was not created."""
    roles: dict[str, bool]
    """pgstac's roles that exist, and whether the app's user may act as each."""

    @property
    def ready(self) -> bool:
        """Whether items can be loaded and searched: releases of one minor version work together."""
        theirs, ours = _RELEASE.match(self.installed or ""), _RELEASE.match(self.library)
        return theirs is not None and ours is not None and theirs.groups() == ours.groups()


class CatalogMigration(Contract):
    """What an installation or migration did."""

    before: str | None
    """Version that was found; None where there was none."""
    after: str
    applied: list[str]
    """Migration files, in their order; empty when there was nothing to do."""


@dataclass(frozen=True)
class Holder:
    """The attempt on whose behalf something is written: it counts only while the attempt has its task."""

    job_id: str
    run: int
    stage: int
    task_index: int
    fence: int


@dataclass(frozen=True)
class CatalogItem:
    """An item on its way into the catalog; `source` names the file that it is of, or comes from.

    As text, because ten thousand of them as objects keep Python's garbage collector busier than the loading.
    """

    id: str
    source: str
    text: bytes
    """JSON."""


@dataclass(frozen=True)
class Loaded:
    """What a load did; all of it is committed. `refused`: ids of the others, and why each is not there."""

    loaded: int
    replaced: int
    """Of those loaded, how many were there before."""
    refused: Mapping[str, str]


class CatalogRepository(Protocol):
    """The catalog. Every method raises `ServiceUnavailable`, and `CatalogNotSetUp` where there is none.

    Those that take a `holder` raise `LeaseLost`, and change nothing, when it has lost its task.
    """

    def state(self) -> CatalogState:
        """What is installed. Does not raise `CatalogNotSetUp`."""
        ...

    def collection(self, collection_id: str) -> dict[str, JsonValue] | None:
        """The collection's document."""
        ...

    def create_collection(
        self, document: Mapping[str, JsonValue], partition_by: PartitionBy, holder: Holder
    ) -> bool:
        """Add a collection; false, and nothing is changed, where there is one of this id."""
        ...

    def put_collection(self, document: Mapping[str, JsonValue], holder: Holder) -> bool:
        """Add or replace a collection; false where it was like this already. Its items stay."""
        ...

    def load(
        self, collection_id: str, items: Sequence[CatalogItem], holder: Holder, *, exclusive: bool
    ) -> Loaded:
        """Add or replace items of one collection, whose ids are distinct, in one transaction.

        Refused are items that have no form in which they can be stored, and ids that this run has loaded
        from another source; with `exclusive` also those that anybody has. All others are loaded, or none is:
        raises `CollectionNotFound`, and `ItemsRefused` where the database does not take one of them.
        """
        ...


class CatalogAdministration(Protocol):
    """What stac_setup does. Every method raises `ServiceUnavailable`, and `CatalogRefused` with a reason."""

    def state(self) -> CatalogState:
        """What is installed."""
        ...

    def migrate(self) -> CatalogMigration:
        """Install pgstac, or bring it to this release's version; nothing when it is there already."""
        ...

    def settings(self) -> dict[str, str]:
        """pgstac's own settings."""
        ...

    def configure(self, settings: Mapping[str, str]) -> list[str]:
        """Set some of them; answers those that were otherwise."""
        ...

    def grant(self, readers: Sequence[str], writers: Sequence[str]) -> list[str]:
        """Let database roles read or fill the catalog; answers the grants that were new."""
        ...

    def verify(self) -> dict[str, int]:
        """Load and search an item, which is undone; answers `collections`, `items_estimate` and `queued`."""
        ...
