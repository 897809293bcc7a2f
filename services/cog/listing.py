"""First stage of jobs about rasters: which blobs they are about."""

from __future__ import annotations

from interfaces.blobs import BlobRepository
from interfaces.containers import WrittenContainer, is_raster_name
from interfaces.workflows import TaskContext
from services.source_listing import SourceCounts, SourceParameters, discover_sources
from services.storage_access import target_must_exist


class ListRastersParameters(SourceParameters):
    """Which rasters."""

    target_container: WrittenContainer | None = None
    """Where what is made of them goes, of jobs that make something."""


class ListRasters:
    """Discovers `{"name": …}` for each raster. Whether it is one, its own task finds out."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: ListRastersParameters, context: TaskContext) -> SourceCounts:
        """List or name. Raises `PermanentTaskError` for a missing container, or a forbidden source."""
        if parameters.target_container is not None:
            target_must_exist(self._blobs, parameters.target_container)
        return discover_sources(self._blobs, parameters, context, is_raster_name)
