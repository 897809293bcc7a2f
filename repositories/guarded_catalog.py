"""The STAC catalog behind a circuit breaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from interfaces.catalog import CatalogItem, CatalogRepository, CatalogState, Holder, Loaded, PartitionBy

from .breakers import Breaker, Breakers
from .pgstac import PgstacCatalog

DEPENDENCY = "pgstac"


class GuardedCatalog(CatalogRepository):
    """A `CatalogRepository` whose calls raise `DependencyUnavailable` while pgstac keeps failing."""

    def __init__(self, catalog: PgstacCatalog, breakers: Breakers) -> None:
        self._catalog = catalog
        self._breaker: Breaker = breakers.guard(DEPENDENCY, self.ping)

    @property
    def breaker(self) -> Breaker:
        """For what else is read from pgstac."""
        return self._breaker

    def state(self) -> CatalogState:
        """What is installed."""
        with self._breaker.calling():
            return self._catalog.state()

    def ping(self) -> None:
        """Raise unless the catalog answers, whatever the breaker's state, which stays as it is."""
        self._catalog.ping()

    def collection(self, collection_id: str) -> dict[str, JsonValue] | None:
        """The collection's document."""
        with self._breaker.calling():
            return self._catalog.collection(collection_id)

    def create_collection(
        self, document: Mapping[str, JsonValue], partition_by: PartitionBy, holder: Holder
    ) -> bool:
        """Add a collection, unless there is one of this id."""
        with self._breaker.calling():
            return self._catalog.create_collection(document, partition_by, holder)

    def put_collection(self, document: Mapping[str, JsonValue], holder: Holder) -> bool:
        """Add or replace a collection."""
        with self._breaker.calling():
            return self._catalog.put_collection(document, holder)

    def load(
        self, collection_id: str, items: Sequence[CatalogItem], holder: Holder, *, exclusive: bool
    ) -> Loaded:
        """Add or replace items of one collection, all of them or none."""
        with self._breaker.calling():
            return self._catalog.load(collection_id, items, holder, exclusive=exclusive)
