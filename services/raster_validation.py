"""Handler of validate_raster: reads a raster to its last pixel, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.containers import ReadContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import BlobNotFound
from interfaces.workflows import TaskContext

from .budget import size_text
from .cog.estimates import block_memory
from .cog.resources import Resources
from .raster_metadata import describe, item_bytes
from .raster_opening import RasterOpener, Unreadable
from .raster_report import CogReport, RasterMetadata, UnreadableRaster
from .second_look import second_look
from .storage_access import container_must_answer

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

WINDOW_VALUES = 4 * 1024 * 1024
"""Read at once, of all bands; more where a block has more, which is decoded whole."""

Verdict = Literal["valid", "invalid", "not_raster", "missing"]


class ValidateRasterParameters(TaskParameters):
    """A blob, and how closely it is looked at."""

    container: ReadContainer
    name: str
    read_pixels: bool = True
    require_cog: bool = False


class RasterValidity(Contract):
    """What was found; `reasons` is empty where the raster is valid."""

    name: str
    verdict: Verdict
    reasons: list[str]
    size: int = 0
    driver: str | None = None
    width: int | None = None
    height: int | None = None
    band_count: int | None = None
    dtypes: list[str] = Field(default_factory=list)
    crs: str | None = None
    cog: bool | None = None
    """A strictly valid COG; None for other formats than GeoTIFF."""
    cog_report: CogReport | None = None
    pixels_read: int = 0
    """Of all bands."""
    warnings: list[str] = Field(default_factory=list)


class ValidateRaster:
    """Validates one raster. Whatever is wrong with the file is its result, not a failure of the task."""

    def __init__(self, blobs: BlobRepository, opener: RasterOpener, resources: Resources) -> None:
        self._blobs = blobs
        self._opener = opener
        self._resources = resources

    def __call__(self, parameters: ValidateRasterParameters, context: TaskContext) -> RasterValidity:
        """The verdict. Raises `PermanentTaskError` for a missing or forbidden container."""
        container, name = parameters.container, parameters.name
        try:
            with container_must_answer():
                blob = self._blobs.properties(container, name)
        except BlobNotFound:
            return RasterValidity(name=name, verdict="missing", reasons=["the blob does not exist"])
        try:
            report, read = second_look(lambda: self._read(parameters, blob, context))
        except Unreadable as error:
            verdict: Verdict = "not_raster" if error.report.status == "not_raster" else "invalid"
            return RasterValidity(
                name=name,
                verdict=verdict,
                reasons=[error.report.reason],
                size=blob.size,
                driver=error.report.driver,
            )
        reasons = []
        strict = report.cog.strict_valid if report.cog else None
        if parameters.require_cog and not strict:
            found = [*report.cog.errors, *report.cog.warnings] if report.cog else [f"it is {report.driver}"]
            reasons.append(f"no strictly valid COG: {'; '.join(found)}")
        crs = report.crs
        return RasterValidity(
            name=name,
            verdict="invalid" if reasons else "valid",
            reasons=reasons,
            size=blob.size,
            driver=report.driver,
            width=report.width,
            height=report.height,
            band_count=report.band_count,
            dtypes=report.dtypes,
            crs=(f"EPSG:{crs.epsg}" if crs.epsg else crs.authority or crs.wkt2) if crs else None,
            cog=strict,
            cog_report=report.cog,
            pixels_read=read,
            warnings=report.warnings,
        )

    def _read(
        self, parameters: ValidateRasterParameters, blob: BlobProperties, context: TaskContext
    ) -> tuple[RasterMetadata, int]:
        room = self._resources.room(context.check)
        with self._opener.reachable(parameters.container, blob, room=room) as reachable:
            path = reachable.source.path
            with (
                self._opener.explained(parameters.container, blob, path),
                self._opener.opened(reachable, blob) as dataset,
            ):
                report = describe(dataset, reachable.source, reachable.sidecars, statistics=False)
                return report, self._read_all(dataset, context) if parameters.read_pixels else 0

    def _read_all(self, dataset: DatasetReader, context: TaskContext) -> int:
        """Read every pixel and the mask, some blocks at a time; answers how many values were read."""
        if dataset.count == 0:
            return 0
        height, width = dataset.block_shapes[0]
        pixels = max(WINDOW_VALUES // dataset.count, 1)
        # A band at a time, then the masks of all of them, and what becomes of these.
        at_once = max(pixels, height * width) * (item_bytes(dataset.dtypes[0]) + dataset.count + 1)
        memory = block_memory(dataset) + at_once
        if memory > self._resources.free_bytes:
            raise Unreadable(
                UnreadableRaster(
                    status="refused",
                    reason=f"its blocks of {width} × {height} pixels are too large to be read: they take "
                    f"{size_text(memory)} of memory, of {size_text(self._resources.free_bytes)}",
                    driver=dataset.driver,
                )
            )
        read = 0
        with self._resources.memory(memory, context.check):
            for window in _windows(dataset.width, dataset.height, (height, width), pixels):
                context.check()
                for index in dataset.indexes:
                    read += dataset.read(index, window=window).size
                dataset.dataset_mask(window=window)
        return read


def _windows(width: int, height: int, block: tuple[int, int], pixels: int) -> Iterator[Window]:
    """Windows of whole blocks that cover a raster row by row, each of about so many pixels at most."""
    from rasterio.windows import Window

    rows = max(1, min(pixels // max(width, 1), height) // block[0]) * block[0]
    columns = max(1, pixels // rows // block[1]) * block[1]
    for y in range(0, height, rows):
        for x in range(0, width, columns):
            yield Window(x, y, min(columns, width - x), min(rows, height - y))
