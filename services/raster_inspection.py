"""Opens a blob as a raster by range reads and says what it is, or why it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import filterwarnings

from pydantic import ValidationError

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.containers import extension_of, is_raster_name
from interfaces.errors import ServiceUnavailable

from . import raster_signatures
from .gdal_session import DRIVERS, GdalSessions, can_be_listed
from .raster_metadata import Refused, Truncated, check_length, describe, refuse_dangerous
from .raster_report import RasterMetadata, RasterReport, UnreadableRaster, UnreadableStatus
from .raster_source import RasterSource

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

SIDECAR_PAGE = 200
"""Names with the same stem that are looked at for sidecars."""
TRANSIENT = (
    "HTTP response code: 401",
    "HTTP response code: 403",
    "HTTP response code: 5",
    "HTTP response code: 429",
    "CURL error",
    "HTTP error code : 5",
    "timed out",
)
"""In GDAL's messages: what storage or the network did, not the file."""
NETCDF_EXTENSIONS = {"nc", "nc3", "nc4", "cdf"}
MAX_NETCDF_BYTES = 1024**2
"""netCDF cannot be read by ranges (see `gdal_session.DRIVERS`); so much may be fetched at once."""
NOT_RECOGNIZED = "not recognized as being in a supported file format"


class RasterInspector:
    """Inspects blobs as rasters. One per process; any number of threads."""

    def __init__(self, blobs: BlobRepository, sessions: GdalSessions | None = None) -> None:
        self._blobs = blobs
        self._sessions = sessions or GdalSessions()

    def inspect(self, container: str, blob: BlobProperties, *, statistics: bool = False) -> RasterReport:
        """What the blob is as a raster. Whatever is wrong with the file is in the report.

        Raises what `BlobRepository` raises: the blob is gone, storage refuses or does not answer.
        """
        if blob.size == 0:
            return UnreadableRaster(status="empty", reason="the file has zero bytes")
        if blob.tier == "Archive":
            return UnreadableRaster(
                status="archived", reason="the blob is in the archive tier and must be rehydrated to be read"
            )
        if not is_raster_name(blob.name) or blob.name.lower().endswith(".vrt"):
            head = self._head(container, blob)
            if not raster_signatures.is_raster(head):
                return _counted(_not_raster(head), len(head), blob.size)
        if extension_of(blob.name) in NETCDF_EXTENSIONS:
            return self._open_netcdf(container, blob, statistics=statistics)
        return self._open(container, blob, statistics=statistics)

    def _open_netcdf(self, container: str, blob: BlobProperties, *, statistics: bool) -> RasterReport:
        from rasterio.io import MemoryFile

        if blob.size > MAX_NETCDF_BYTES:
            return UnreadableRaster(
                status="refused",
                reason=f"netCDF cannot be read by ranges, and {blob.size} bytes are too many to fetch whole",
            )
        content = self._blobs.read(container, blob.name)
        with self._sessions.in_memory(), MemoryFile(content, ext=".nc") as file:
            source = RasterSource(file.name, blob.size, lambda: blob.size, lambda length: content[:length])
            report = self._try(container, blob, source, ["netCDF"], [], statistics=statistics)
        return _counted(report, len(content), blob.size)

    def _open(self, container: str, blob: BlobProperties, *, statistics: bool) -> RasterReport:
        path = self._blobs.gdal_path(container, blob.name)
        beside = self._sidecars(container, blob.name)
        unusable = beside and not all(map(can_be_listed, [path, *(item.name for item in beside)]))
        used = [] if unusable else beside
        sidecars = [item.name for item in used]
        paths = [self._blobs.gdal_path(container, name) for name in sidecars]
        size = blob.size + sum(item.size for item in used)
        heads: list[bytes] = []

        def head(length: int) -> bytes:
            heads.append(self._head(container, blob, length))
            return heads[-1]

        with self._sessions.session(path, paths, self._blobs.gdal_options()) as count:
            source = RasterSource(
                path, size, count.so_far, lambda length: self._head(container, blob, length)
            )
            report = self._try(container, blob, source, DRIVERS, sidecars, statistics=statistics)
        if unusable and isinstance(report, RasterMetadata):
            names = ", ".join(item.name for item in beside)
            warning = f"read without its sidecars, since a name has a space or a comma: {names}"
            report = report.model_copy(update={"warnings": [*report.warnings, warning]})
        read = None if count.value is None else count.value + sum(map(len, heads))
        return _counted(report, read, size)

    def _try(
        self,
        container: str,
        blob: BlobProperties,
        source: RasterSource,
        drivers: list[str],
        sidecars: list[str],
        *,
        statistics: bool,
    ) -> RasterReport:
        from rasterio._err import CPLE_BaseError
        from rasterio.errors import RasterioError

        path = source.path
        try:
            with self._sessions.messages.collected() as said, _opened(path, drivers) as dataset:
                report = _report(dataset, source, blob.size, sidecars, statistics=statistics)
        except ValidationError:
            raise  # a report of ours that does not fit its model is no fault of the file
        except (RasterioError, CPLE_BaseError, OSError, ValueError, OverflowError) as error:
            return self._failure(container, blob, path, error)
        if isinstance(report, RasterMetadata) and said:
            warnings = [*report.warnings, *(_own_words(message, path) for message in said)]
            return report.model_copy(update={"warnings": warnings})
        return report

    def _failure(self, container: str, blob: BlobProperties, path: str, error: Exception) -> UnreadableRaster:
        """Whose fault it was that GDAL could not go on: storage's, which is raised, or the file's."""
        text = str(error.__cause__ or error)
        # Storage is asked first: it may refuse, be gone, or not answer at all, and says so by itself.
        now = self._blobs.properties(container, blob.name)
        if now.etag != blob.etag:
            raise ServiceUnavailable("the blob was replaced while it was read") from error
        if any(sign in text for sign in TRANSIENT):
            raise ServiceUnavailable("storage did not answer while the raster was read") from error
        if NOT_RECOGNIZED in text:
            head = self._head(container, blob)
            if not raster_signatures.is_raster(head):
                return _not_raster(head)
        return UnreadableRaster(status="broken", reason=f"GDAL cannot read it: {_own_words(text, path)}")

    def _sidecars(self, container: str, name: str) -> list[BlobItem]:
        """The blobs beside this one that belong to it."""
        folder, slash, last = name.rpartition("/")
        stem = last.rpartition(".")[0] or last
        start = f"{folder}{slash}{stem}."
        beside = next(self._blobs.list_pages(container, start, SIDECAR_PAGE), [])
        possible = sidecar_names(name)
        return [blob for blob in beside if blob.name in possible]

    def _head(
        self, container: str, blob: BlobProperties, length: int = raster_signatures.HEAD_BYTES
    ) -> bytes:
        return self._blobs.read(container, blob.name, 0, min(length, blob.size))


def sidecar_names(name: str) -> set[str]:
    """Names under which GDAL looks for a raster's metadata, mask, overviews and world file."""
    stem, _, extension = name.rpartition(".")
    beside = {f"{name}.aux.xml", f"{name}.msk", f"{name}.msk.ovr", f"{name}.ovr", f"{name}.aux"}
    if not extension or "/" in extension:
        return beside
    world = {f"{extension}w", f"{extension[0]}{extension[-1]}w", "wld"}
    others = {"aux", "aux.xml", "tab", "rrd", "ige", "rpb", "imd"}
    return beside | {
        f"{stem}.{spelling}" for suffix in world | others for spelling in (suffix, suffix.upper())
    }


def _opened(path: str, drivers: list[str]) -> DatasetReader:
    """The dataset, opened by one of these drivers only."""
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import DatasetReader

    # Process-wide, and no more than that: `georeferencing` in the report says the same.
    filterwarnings("ignore", category=NotGeoreferencedWarning)
    reader: Any = DatasetReader  # rasterio.open takes one driver, its reader a list of them
    opened: DatasetReader = reader(path, driver=drivers)
    return opened


def _report(
    dataset: DatasetReader, source: RasterSource, size: int, sidecars: list[str], *, statistics: bool
) -> RasterReport:
    status: UnreadableStatus
    try:
        refuse_dangerous(dataset, source.path, size)
        check_length(dataset, source.path, size)
    except Refused as error:
        status, reason = "refused", str(error)
    except Truncated as error:
        status, reason = "truncated", str(error)
    else:
        return describe(dataset, source, sidecars, statistics=statistics)
    return UnreadableRaster(
        status=status,
        reason=reason,
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        band_count=dataset.count,
    )


def _not_raster(head: bytes) -> UnreadableRaster:
    if raster_signatures.is_vrt(head):
        return UnreadableRaster(
            status="refused", reason="a GDAL virtual raster (VRT): references to other files are not followed"
        )
    return UnreadableRaster(status="not_raster", reason=f"not a raster: {raster_signatures.kind(head)}")


def _counted(report: RasterReport, bytes_read: int | None, size: int) -> RasterReport:
    if bytes_read is None:
        return report
    return report.model_copy(update={"bytes_read": bytes_read, "fraction_read": bytes_read / size})


def _own_words(text: str, path: str) -> str:
    """GDAL's message about the file, with its name for its path."""
    return text.replace(path, path.rpartition("/")[2])[:400]
