"""Opens a blob as a raster, by range reads or from memory, and says why where that is not possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4
from warnings import filterwarnings

from pydantic import ValidationError

from interfaces import crs_references
from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.containers import extension_of, is_raster_name
from interfaces.errors import ServiceUnavailable, TaskError

from . import hdf5_references, raster_signatures
from .gdal_session import DRIVERS, GdalSessions, can_be_listed
from .raster_metadata import Refused, Truncated, check_length, refuse_dangerous
from .raster_report import RasterMetadata, RasterReport, UnreadableRaster, UnreadableStatus
from .raster_sidecars import IMAGINE, find_sidecars, refuse_foreign, refuse_references
from .raster_source import RasterSource

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

R = TypeVar("R", RasterMetadata, UnreadableRaster, RasterReport)

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
HDF5_EXTENSIONS = {"h5", "hdf5"}
NETCDF_DRIVERS = ["netCDF"]
HDF5_DRIVERS = ["HDF5", "HDF5Image"]
MAX_WHOLE_BYTES = 1024**2
"""netCDF and HDF5 are not read by ranges (see `gdal_session.DRIVERS`); so much may be fetched at once."""
COPY_BYTES = 8 * 1024**2
"""Fetched at a time of a blob that is copied to the disk."""
Room = Callable[[int], AbstractContextManager[Path]]
"""An empty folder for so many bytes, until its context ends."""
DOUBTFUL = {"broken", "truncated"}
"""Statuses that a file seems to have, too, when storage fails in the middle of it."""
DIRECTORY_AT = re.compile(r"Failed to read directory at offset (\d+)")
"""Most writers put a TIFF's directory at its end: of a file that was cut off it is missing."""
NOT_RECOGNIZED = "not recognized as being in a supported file format"


class Unreadable(Exception):
    """The blob is no raster, or none that can or may be read; `report` says why."""

    def __init__(self, report: UnreadableRaster) -> None:
        super().__init__(report.reason)
        self.report = report

    @property
    def doubtful(self) -> bool:
        """The same would be seen of a file that storage gave in part only."""
        return self.report.status in DOUBTFUL


@dataclass
class Reachable:
    """A blob that GDAL may read, in this thread, until the context ends."""

    source: RasterSource
    drivers: list[str]
    sidecars: list[str] = field(default_factory=list)
    """Names of the blobs that belong to it and are read along."""
    sidecar_paths: list[str] = field(default_factory=list)
    """GDAL's names of these."""
    bytes_read: int | None = None
    """Once the context has ended; None where GDAL cannot tell."""


class RasterOpener:
    """Opens blobs as rasters. One per process; any number of threads."""

    def __init__(self, blobs: BlobRepository, sessions: GdalSessions | None = None) -> None:
        self._blobs = blobs
        self.sessions = sessions or GdalSessions()

    @contextmanager
    def reachable(
        self,
        container: str,
        blob: BlobProperties,
        *,
        in_memory: int = 0,
        options: Mapping[str, str | int] | None = None,
        room: Room | None = None,
    ) -> Iterator[Reachable]:
        """Let GDAL read the blob: its bytes at once where there are at most `in_memory`, else by ranges.

        What cannot be read by ranges is copied to the disk where there is `room`, and refused where not.
        Raises `Unreadable` for what no driver should be let loose on, and what `BlobRepository` raises.
        GDAL's errors within the context are not dealt with here: see `explained`.
        """
        head = self._refuse_unpromising(container, blob)
        if drivers := _whole_drivers(blob.name, head):
            with self._checked_whole(container, blob, drivers, options or {}, room) as reachable:
                yield reachable
            return
        beside = self._sidecars(container, blob.name)
        if blob.size <= in_memory and not beside:
            with self._whole(container, blob, DRIVERS, options or {}) as reachable:
                yield reachable
        else:
            with self._by_ranges(container, blob, beside, options or {}) as reachable:
                yield reachable

    @contextmanager
    def together(
        self,
        blobs: Sequence[tuple[str, BlobProperties]],
        *,
        in_memory: int = 0,
        options: Mapping[str, str | int] | None = None,
        room: Room | None = None,
    ) -> Iterator[list[str]]:
        """Paths of several blobs that were inspected before, which GDAL may read at the same time.

        `options` are GDAL's configuration options of the session. Raises as `reachable` does.
        """
        container, first = blobs[0]
        if len(blobs) == 1:
            with self.reachable(
                container, first, in_memory=in_memory, options=options, room=room
            ) as reachable:
                yield [reachable.source.path]
            return
        paths = [self._blobs.gdal_path(container, blob.name) for container, blob in blobs]
        beside = [
            self._blobs.gdal_path(container, item.name)
            for container, blob in blobs
            for item in self._sidecars(container, blob.name)
        ]
        settings = {**(options or {}), **self._blobs.gdal_options()}
        with self.sessions.session(paths[0], [*paths[1:], *beside], settings):
            yield paths

    @contextmanager
    def opened(self, reachable: Reachable, blob: BlobProperties) -> Iterator[DatasetReader]:
        """The dataset, once nothing speaks against reading it. Raises `Unreadable` for bombs, cut files."""
        with _open(reachable.source.path, reachable.drivers) as dataset:
            status: UnreadableStatus
            try:
                refuse_dangerous(dataset, reachable.source.path, blob.size)
                refuse_references(reachable.sidecar_paths)
                check_length(dataset, reachable.source.path, blob.size)
            except Refused as error:
                status, reason = "refused", str(error)
            except Truncated as error:
                status, reason = "truncated", str(error)
            else:
                yield dataset
                return
            raise Unreadable(
                UnreadableRaster(
                    status=status,
                    reason=reason,
                    driver=dataset.driver,
                    width=dataset.width,
                    height=dataset.height,
                    band_count=dataset.count,
                )
            )

    @contextmanager
    def explained(self, container: str, blob: BlobProperties, path: str) -> Iterator[None]:
        """Raise `ServiceUnavailable` where GDAL failed for storage's sake, `Unreadable` for the file's."""
        from rasterio._err import CPLE_BaseError
        from rasterio.errors import RasterioError

        try:
            yield
        except ValidationError:
            raise  # a report of ours that does not fit its model is no fault of the file
        except (RasterioError, CPLE_BaseError, OSError, ValueError, OverflowError) as error:
            raise Unreadable(self._failure(container, blob, path, error)) from error

    def head(self, container: str, blob: BlobProperties, length: int = raster_signatures.HEAD_BYTES) -> bytes:
        """The first bytes of the blob."""
        return self._blobs.read(container, blob.name, 0, min(length, blob.size))

    def _refuse_unpromising(self, container: str, blob: BlobProperties) -> bytes:
        """The first bytes, where they were looked at because the name says nothing."""
        if blob.size == 0:
            raise Unreadable(UnreadableRaster(status="empty", reason="the file has zero bytes"))
        if blob.tier == "Archive":
            reason = "the blob is in the archive tier and must be rehydrated to be read"
            raise Unreadable(UnreadableRaster(status="archived", reason=reason))
        if not is_raster_name(blob.name) or blob.name.lower().endswith(".vrt"):
            head = self.head(container, blob)
            if not raster_signatures.is_raster(head):
                raise Unreadable(counted(_not_raster(head), len(head), blob.size))
            return head
        return b""

    @contextmanager
    def _checked_whole(
        self,
        container: str,
        blob: BlobProperties,
        drivers: list[str],
        options: Mapping[str, str | int],
        room: Room | None,
    ) -> Iterator[Reachable]:
        """Of netCDF and HDF5: bytes that nobody can replace any more, and that refer to no other file."""
        if blob.size <= MAX_WHOLE_BYTES:
            with self._whole(container, blob, drivers, options) as reachable:
                yield reachable
            return
        if room is None:
            reason = (
                f"{drivers[0]} cannot be read by ranges, and {blob.size} bytes are too many to fetch whole"
            )
            raise Unreadable(UnreadableRaster(status="refused", reason=reason))
        with room(blob.size) as folder, self.sessions.in_memory(options):
            path = folder / ("source.nc" if drivers == NETCDF_DRIVERS else "source.h5")
            with path.open("wb") as file:
                for start in range(0, blob.size, COPY_BYTES):
                    file.write(self._blobs.read(container, blob.name, start, COPY_BYTES))
            if self._blobs.properties(container, blob.name).etag != blob.etag:
                raise ServiceUnavailable("the blob was replaced while it was read")
            _refuse_references(_first_bytes(path, raster_signatures.HEAD_BYTES), path, drivers)
            head = RasterSource(str(path), blob.size, lambda: blob.size, lambda n: _first_bytes(path, n))
            yield Reachable(head, drivers, bytes_read=blob.size)

    @contextmanager
    def _whole(
        self, container: str, blob: BlobProperties, drivers: list[str], options: Mapping[str, str | int]
    ) -> Iterator[Reachable]:
        from rasterio.io import MemoryFile

        # No more than was looked at: whoever replaced it may have put something huge there.
        content = self._blobs.read(container, blob.name, 0, blob.size)
        _refuse_references(content[: raster_signatures.HEAD_BYTES], content, drivers)
        # GDAL tells some formats by the name alone, such as N10W110.hgt.
        last = blob.name.rpartition("/")[2]
        with (
            self.sessions.in_memory(options),
            MemoryFile(content, dirname=uuid4().hex, filename=last) as file,
        ):
            source = RasterSource(file.name, blob.size, lambda: blob.size, lambda length: content[:length])
            yield Reachable(source, drivers, bytes_read=len(content))

    @contextmanager
    def _by_ranges(
        self, container: str, blob: BlobProperties, beside: list[BlobItem], options: Mapping[str, str | int]
    ) -> Iterator[Reachable]:
        path = self._blobs.gdal_path(container, blob.name)
        heads: list[bytes] = []

        def head(length: int) -> bytes:
            heads.append(self.head(container, blob, length))
            return heads[-1]

        paths = [self._blobs.gdal_path(container, item.name) for item in beside]
        session = self.sessions.session(path, paths, {**options, **self._blobs.gdal_options()})
        with ExitStack() as ended:
            count = ended.enter_context(session)
            size = blob.size + sum(item.size for item in beside)
            reachable = Reachable(
                RasterSource(path, size, count.so_far, head),
                DRIVERS,
                sidecars=[item.name for item in beside],
                sidecar_paths=paths,
            )
            try:
                yield reachable
            finally:
                # The count is final only when the session has ended.
                ended.close()
                if count.value is not None:
                    reachable.bytes_read = count.value + sum(map(len, heads))

    def _failure(self, container: str, blob: BlobProperties, path: str, error: Exception) -> UnreadableRaster:
        """Whose fault it was that GDAL could not go on: storage's, which is raised, or the file's."""
        text = str(error.__cause__ or error)
        if "No space left" in text:
            raise TaskError(f"temporary disk space is used up: {own_words(text, path)}") from error
        # Storage is asked first: it may refuse, be gone, or not answer at all, and says so by itself.
        now = self._blobs.properties(container, blob.name)
        if now.etag != blob.etag:
            raise ServiceUnavailable("the blob was replaced while it was read") from error
        if any(sign in text for sign in TRANSIENT):
            raise ServiceUnavailable("storage did not answer while the raster was read") from error
        if NOT_RECOGNIZED in text:
            head = self.head(container, blob)
            if not raster_signatures.is_raster(head):
                return _not_raster(head)
            if head.startswith(hdf5_references.SIGNATURE):
                reason = "holds HDF5, which its name does not say"
                return UnreadableRaster(status="refused", reason=reason)
        cut = DIRECTORY_AT.search(text)
        if cut and int(cut[1]) >= blob.size:
            reason = f"its directory is at byte {cut[1]}, but the file has {blob.size} bytes"
            return UnreadableRaster(status="truncated", reason=reason)
        return UnreadableRaster(status="broken", reason=f"GDAL cannot read it: {own_words(text, path)}")

    def _sidecars(self, container: str, name: str) -> list[BlobItem]:
        """The blobs beside this one that belong to it. Raises `Unreadable` where one must not be followed."""
        beside = find_sidecars(self._blobs, container, name)
        try:
            refuse_foreign(self._blobs, container, beside)
        except Refused as error:
            raise Unreadable(UnreadableRaster(status="refused", reason=str(error))) from error
        if any(not can_be_listed(item.name) for item in beside) and (
            extension_of(name) == "img" or any(item.name.lower().endswith(IMAGINE) for item in beside)
        ):
            # These name each other, so that GDAL has to be told exactly which it may read.
            reason = "Erdas Imagine's files are not read together where a name has a space or a comma"
            raise Unreadable(UnreadableRaster(status="refused", reason=reason))
        return beside


def _open(path: str, drivers: list[str]) -> DatasetReader:
    """The dataset, opened by one of these drivers only."""
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import DatasetReader

    # Process-wide, and no more than that: `georeferencing` in the report says the same.
    filterwarnings("ignore", category=NotGeoreferencedWarning)
    reader: Any = DatasetReader  # rasterio.open takes one driver, its reader a list of them
    opened: DatasetReader = reader(path, driver=drivers)
    return opened


def counted(report: R, bytes_read: int | None, size: int) -> R:
    """The report with how much was read for it."""
    if bytes_read is None:
        return report
    return report.model_copy(update={"bytes_read": bytes_read, "fraction_read": bytes_read / size})


def own_words(text: str, path: str) -> str:
    """GDAL's message about the file, with its name for its path."""
    return text.replace(path, path.rpartition("/")[2])[:400]


def _whole_drivers(name: str, head: bytes) -> list[str]:
    """Of a file that has to be fetched whole; of others none. `head` counts where a name says nothing."""
    if extension_of(name) in NETCDF_EXTENSIONS:
        return NETCDF_DRIVERS
    if extension_of(name) in HDF5_EXTENSIONS or head.startswith(hdf5_references.SIGNATURE):
        return HDF5_DRIVERS
    return []


def _refuse_references(head: bytes, file: Path | bytes, drivers: list[str]) -> None:
    """Raise `Unreadable` for netCDF and HDF5 that is none, that refers to other files, or is damaged."""
    if drivers not in (NETCDF_DRIVERS, HDF5_DRIVERS):
        return
    if crs_references.file_names_a_file(file):
        reason = "its CRS names a file that PROJ would read"
        raise Unreadable(UnreadableRaster(status="refused", reason=reason))
    if not head.startswith(hdf5_references.SIGNATURE):
        # Only at the very start: their libraries look for it further on, too.
        if drivers == NETCDF_DRIVERS and head.startswith(raster_signatures.CLASSIC_NETCDF):
            return
        raise Unreadable(_not_raster(head))
    try:
        hdf5_references.refuse_references(file)
    except Refused as error:
        raise Unreadable(UnreadableRaster(status="refused", reason=str(error))) from error
    except hdf5_references.DamagedHdf5 as error:
        reason = f"HDF5 cannot read it: {error}"
        raise Unreadable(UnreadableRaster(status="broken", reason=reason)) from error


def _first_bytes(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        return file.read(length)


def _not_raster(head: bytes) -> UnreadableRaster:
    if raster_signatures.is_vrt(head):
        return UnreadableRaster(
            status="refused", reason="a GDAL virtual raster (VRT): references to other files are not followed"
        )
    return UnreadableRaster(status="not_raster", reason=f"not a raster: {raster_signatures.kind(head)}")
