"""Handlers of list_container: list and filter a container, then describe each of its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.containers import BlobFilter, ReadContainer, Size, Time, extension_of
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import BlobNotFound
from interfaces.workflows import TaskContext

from .blob_filter import BlobMatcher
from .raster_report import RasterReport
from .storage_access import container_must_answer

if TYPE_CHECKING:
    from .raster_inspection import RasterInspector


class ListBlobsParameters(TaskParameters):
    """What to list."""

    container: ReadContainer
    prefix: str = ""
    filter: BlobFilter = BlobFilter()
    limit: int | None = None


class ListBlobsResult(Contract):
    """How much was looked at and how much of it passed; sizes in bytes."""

    listed: int
    matched: int
    matched_bytes: int
    limited: bool
    """True when `limit` ended the listing."""


class ListBlobs:
    """Lists a container page by page and discovers one item for each blob that passes the filter."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: ListBlobsParameters, context: TaskContext) -> ListBlobsResult:
        """List, filter, then limit. Raises `PermanentTaskError` for a missing or forbidden container."""
        listed = matched = size = 0
        limited = False

        def items() -> Iterator[dict[str, JsonValue]]:
            nonlocal listed, matched, size, limited
            matcher = BlobMatcher(parameters.filter)
            for page in self._blobs.list_pages(parameters.container, parameters.prefix):
                context.check()
                for blob in page:
                    listed += 1
                    if not matcher.matches(blob):
                        continue
                    matched += 1
                    size += blob.size
                    yield blob.model_dump(mode="json")
                    if matched == parameters.limit:
                        limited = True
                        return

        with container_must_answer():
            context.discover(items())
        return ListBlobsResult(listed=listed, matched=matched, matched_bytes=size, limited=limited)


class DescribeBlobParameters(TaskParameters):
    """A blob as the listing showed it, and how much more to find out."""

    container: ReadContainer
    metadata_level: Literal["basic", "standard", "full"] = "basic"
    statistics: bool = False
    name: str
    size: Size
    last_modified: Time | None = None
    created_at: Time | None = None
    content_type: str | None = None
    etag: str | None = None
    tier: str | None = None


class BlobHeaders(Contract):
    """What a blob has besides what a listing shows; `metadata` is the user's own."""

    content_encoding: str | None
    content_language: str | None
    cache_control: str | None
    content_md5: str | None
    blob_type: str | None
    lease_status: str | None
    metadata: dict[str, str]


class BlobDescription(BlobItem):
    """A file of the container. `properties` from `standard` on, `raster` with `full`."""

    extension: str
    exists: bool = True
    """False when the blob was deleted after it was listed; then it is as the listing showed it."""
    reason: str | None = None
    properties: BlobHeaders | None = None
    raster: RasterReport | None = None


class DescribeBlob:
    """Describes one blob, at the level that was asked for."""

    def __init__(self, blobs: BlobRepository, rasters: RasterInspector) -> None:
        self._blobs = blobs
        self._rasters = rasters

    def __call__(self, parameters: DescribeBlobParameters, context: TaskContext) -> BlobDescription:
        """The description. A blob that is gone, or is no raster, is described as that.

        Raises `PermanentTaskError` when the container is gone or forbidden, `ServiceUnavailable` when
        storage does not answer.
        """
        listed = {field: getattr(parameters, field) for field in BlobItem.model_fields}
        extension = extension_of(parameters.name)
        if parameters.metadata_level == "basic":
            return BlobDescription(**listed, extension=extension)
        try:
            with container_must_answer():
                properties = self._blobs.properties(parameters.container, parameters.name)
                now = {field: getattr(properties, field) for field in BlobItem.model_fields}
                headers = BlobHeaders(**{f: getattr(properties, f) for f in BlobHeaders.model_fields})
                raster = None
                if parameters.metadata_level == "full":
                    context.check()
                    raster = self._rasters.inspect(
                        parameters.container, properties, statistics=parameters.statistics
                    )
        except BlobNotFound:
            return BlobDescription(
                **listed, extension=extension, exists=False, reason="deleted since it was listed"
            )
        return BlobDescription(**now, extension=extension, properties=headers, raster=raster)
