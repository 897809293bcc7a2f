"""Says of a blob what it is as a raster, by range reads, or why it is none."""

from __future__ import annotations

from interfaces.blobs import BlobProperties

from .raster_metadata import describe
from .raster_opening import DOUBTFUL, RasterOpener, Reachable, Unreadable, counted, own_words
from .raster_report import RasterMetadata, RasterReport, UnreadableRaster


class RasterInspector:
    """Inspects blobs as rasters. One per process; any number of threads."""

    def __init__(self, opener: RasterOpener) -> None:
        self._opener = opener

    def inspect(self, container: str, blob: BlobProperties, *, statistics: bool = False) -> RasterReport:
        """What the blob is as a raster. Whatever is wrong with the file is in the report.

        Raises what `BlobRepository` raises: the blob is gone, storage refuses or does not answer.
        """
        report = self._seen(container, blob, statistics=statistics)
        if isinstance(report, UnreadableRaster) and report.status in DOUBTFUL:
            report = self._seen(container, blob, statistics=statistics)
        return report

    def _seen(self, container: str, blob: BlobProperties, *, statistics: bool) -> RasterReport:
        reachable: Reachable | None = None
        report: RasterReport
        try:
            with self._opener.reachable(container, blob) as reachable:
                report = self._describe(container, blob, reachable, statistics=statistics)
        except Unreadable as error:
            report = error.report
        if reachable is None:
            return report
        return counted(report, reachable.bytes_read, blob.size)

    def _describe(
        self, container: str, blob: BlobProperties, reachable: Reachable, *, statistics: bool
    ) -> RasterMetadata:
        source = reachable.source
        with (
            self._opener.explained(container, blob, source.path),
            self._opener.sessions.messages.collected() as said,
            self._opener.opened(reachable, blob) as dataset,
        ):
            report = describe(dataset, source, reachable.sidecars, statistics=statistics)
        if not said:
            return report
        warnings = [*report.warnings, *(own_words(message, source.path) for message in said)]
        return report.model_copy(update={"warnings": warnings})
