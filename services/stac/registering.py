"""First two stages of stac_register: find the files, and make their items."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import rfc8785
from pydantic import JsonValue

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.catalog import CatalogRepository
from interfaces.containers import BlobFilter, ReadContainer, extension_of, is_raster_name
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import BlobNotFound, PermanentTaskError
from interfaces.registrations import Kind, NewCollection, RasterItems
from interfaces.workflows import TaskContext
from services.blob_filter import BlobMatcher
from services.storage_access import container_must_answer

from .collection import minimal_collection
from .documents import DOCUMENTS
from .item_batches import GROUPED_TASKS
from .registered_documents import BuiltItems, RegisteredDocuments, holder_of
from .registered_rasters import RegisteredRasters

THUMBNAIL = ".thumbnail.png"
"""What conversions write beside COGs is no raster to register."""


class FindStacSourcesParameters(TaskParameters):
    """Names, or a prefix with a filter; and the collection, which must be there when items are loaded."""

    kind: Kind
    container: ReadContainer
    blob: str | None = None
    blobs: list[str] | None = None
    prefix: str | None = None
    filter: BlobFilter = BlobFilter()
    limit: int | None = None
    collection_id: str | None = None
    create_collection: NewCollection | None = None


class FindStacSourcesResult(Contract):
    """How many blobs were looked at, how many are taken, and whether the collection was created.

    `bytes` of all that are taken; 0 for those that were named, which are not looked at.
    """

    listed: int
    matched: int
    bytes: int
    collection_created: bool


class FindStacSources:
    """Discovers `{"name": …, "chunk": …}` for each file; files of one chunk are loaded together."""

    def __init__(self, blobs: BlobRepository, catalog: CatalogRepository) -> None:
        self._blobs = blobs
        self._catalog = catalog

    def __call__(self, parameters: FindStacSourcesParameters, context: TaskContext) -> FindStacSourcesResult:
        """Look at the catalog, then list. Raises `PermanentTaskError` where one of both is not there."""
        created = self._ensure_collection(parameters, context)
        listed = matched = size = 0
        matcher = BlobMatcher(parameters.filter)
        by_name = parameters.filter.glob is None and not parameters.filter.extensions

        def items() -> Iterator[dict[str, JsonValue]]:
            nonlocal listed, matched, size
            for blob in self._blobs_of(parameters, context):
                listed += 1
                # What is named is taken at its word.
                if parameters.prefix is not None and not (
                    matcher.matches(blob) and (not by_name or _is_of_kind(blob.name, parameters.kind))
                ):
                    continue
                yield {"name": blob.name, "chunk": matched // GROUPED_TASKS}
                matched += 1
                size += blob.size
                if matched == parameters.limit:
                    return

        with container_must_answer():
            context.discover(items())
        return FindStacSourcesResult(listed=listed, matched=matched, bytes=size, collection_created=created)

    def _blobs_of(self, parameters: FindStacSourcesParameters, context: TaskContext) -> Iterator[BlobItem]:
        if parameters.prefix is None:
            for name in dict.fromkeys(parameters.blobs or [parameters.blob or ""]):
                yield BlobItem(name=name, size=0)
            return
        for page in self._blobs.list_pages(parameters.container, parameters.prefix):
            context.check()
            yield from page

    def _ensure_collection(self, parameters: FindStacSourcesParameters, context: TaskContext) -> bool:
        state = self._catalog.state()
        if not state.ready:
            found = state.installed or "none"
            raise PermanentTaskError(
                f"the catalog is not set up (pgstac: {found}, wanted: {state.library}): run stac_setup"
            )
        wanted = parameters.collection_id
        if wanted is None or self._catalog.collection(wanted) is not None:
            return False
        if parameters.create_collection is None:
            raise PermanentTaskError(
                f"collection_id: the catalog has no collection {wanted!r}; create_collection makes one"
            )
        new = parameters.create_collection
        document = minimal_collection(wanted, new)
        return self._catalog.create_collection(document, new.partition_by, holder_of(context))


class BuildStacItemsParameters(TaskParameters):
    """One file, and what is to be made of it."""

    kind: Kind
    container: ReadContainer
    name: str
    chunk: int
    collection_id: str | None = None
    rasters: RasterItems = RasterItems()


class BuildStacItems:
    """Makes the items of one file, a raster or a document."""

    def __init__(
        self, blobs: BlobRepository, documents: RegisteredDocuments, rasters: RegisteredRasters
    ) -> None:
        self._blobs = blobs
        self._documents = documents
        self._rasters = rasters

    def __call__(self, parameters: BuildStacItemsParameters, context: TaskContext) -> BuiltItems:
        """What became of it. Raises `PermanentTaskError` for a file that has no items at all."""
        container = parameters.container
        blob = self._properties(container, parameters.name)
        if parameters.kind == "documents":
            return self._documents(
                container,
                blob,
                context,
                collection_id=parameters.collection_id,
                chunk=parameters.chunk,
            )
        if parameters.collection_id is None:
            raise PermanentTaskError("collection_id: rasters need one")
        wanted = parameters.rasters
        asked = hashlib.sha256(rfc8785.dumps(wanted.model_dump(mode="json"))).hexdigest()
        return self._rasters(
            container,
            blob,
            context,
            collection_id=parameters.collection_id,
            chunk=parameters.chunk,
            wanted=wanted,
            asked=asked,
        )

    def _properties(self, container: str, name: str) -> BlobProperties:
        try:
            with container_must_answer():
                return self._blobs.properties(container, name)
        except BlobNotFound as error:
            raise PermanentTaskError(error.detail) from error


def _is_of_kind(name: str, kind: Kind) -> bool:
    if kind == "documents":
        return extension_of(name) in DOCUMENTS
    return is_raster_name(name) and not name.lower().endswith(THUMBNAIL)
