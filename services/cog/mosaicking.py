"""Second and third stage of a mosaic: inspect each raster, then lay all of them out together."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from interfaces.blobs import BlobRepository
from interfaces.containers import ReadContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.conversions import AcquisitionTime, CogRequest
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, MosaicOptions, MosaicTarget
from interfaces.workflows import TaskContext
from services.gdal_session import WHOLE_DRIVERS
from services.raster_opening import RasterOpener
from services.second_look import second_look

from .content import classify
from .estimates import reading_of
from .inspecting import (
    InspectRasterResult,
    acquired,
    items,
    parameters_hash,
    properties,
    readable,
    remarks,
    source_blob,
    summary,
)
from .mosaic import chosen_bands, mosaic_source
from .mosaic_plan import MosaicPiece, plan_mosaic, time_of
from .publishing import Publisher
from .resources import Resources
from .sources import gdal_told

GROUP = "mosaic"
"""What the pieces of a mosaic have in common: the key by which they are grouped, and its only value."""


class InspectMosaicPartParameters(TaskParameters):
    """A raster, and what is to be made of all of them."""

    container: ReadContainer
    name: str
    options: CogOptions


class InspectMosaicPartResult(Contract):
    """What a raster brings into the mosaic."""

    source: str
    width: int
    height: int
    crs: str | None
    band_count: int
    dtype: str
    content: str
    pixels: Literal["north_up", "turned", "rectified"]
    taken_at: datetime | None
    notes: list[str]


class InspectMosaicPart:
    """Opens a raster by range reads, and discovers what a mosaic has to know of it."""

    def __init__(self, blobs: BlobRepository, opener: RasterOpener) -> None:
        self._blobs = blobs
        self._opener = opener

    def __call__(
        self, parameters: InspectMosaicPartParameters, context: TaskContext
    ) -> InspectMosaicPartResult:
        """In short. Raises `PermanentTaskError` with the reason why it cannot be part of a mosaic."""
        return second_look(lambda: self._inspected(parameters, context))

    def _inspected(
        self, parameters: InspectMosaicPartParameters, context: TaskContext
    ) -> InspectMosaicPartResult:
        container, name, options = parameters.container, parameters.name, parameters.options
        blob = properties(self._blobs, container, name)
        source = source_blob(self._blobs, container, blob)
        with (
            self._opener.sessions.messages.collected() as said,
            readable(name),
            self._opener.reachable(container, blob) as reachable,
            self._opener.explained(container, blob, reachable.source.path),
            self._opener.opened(reachable, blob) as dataset,
            gdal_told("inspecting the raster"),
        ):
            if dataset.count == 0:
                raise PermanentTaskError("the file has no raster of its own, only others in it, if any")
            if dataset.driver in WHOLE_DRIVERS:
                raise PermanentTaskError(f"{dataset.driver} cannot be read by ranges, as a mosaic is")
            found = acquired(dataset, blob, options)
            classified = classify(dataset, chosen_bands(dataset, options))
            known = None if found.source == "last_modified" else found.instant
            raster = mosaic_source(dataset, source, options, classified.content, known)
            reading = reading_of(dataset, blob.size, options.profile.block_size, always_masked=True)
        piece = MosaicPiece(
            raster=raster,
            time=AcquisitionTime(**asdict(found)),
            block_bytes=reading.block_bytes,
            held_bytes=reading.held_bytes,
        )
        context.discover([{GROUP: GROUP, "piece": piece.model_dump(mode="json")}])
        return InspectMosaicPartResult(
            source=name,
            width=raster.grid.width,
            height=raster.grid.height,
            crs=raster.grid.crs,
            band_count=raster.band_count,
            dtype=raster.dtype,
            content=raster.content,
            pixels=raster.pixels,
            taken_at=known,
            notes=[classified.note(), *remarks(said)],
        )


class _Item(Contract):
    """What `InspectMosaicPart` discovers."""

    mosaic: str
    piece: MosaicPiece


class ComposeMosaicParameters(TaskParameters):
    """All rasters of a mosaic, in the order of the listing, and what is to be made of them."""

    mosaic: str
    items: list[_Item]
    options: CogOptions
    order: MosaicOptions
    target: MosaicTarget


class ComposeMosaic:
    """Plans one mosaic, and discovers one item for it, or one for each of its tiles."""

    def __init__(self, publisher: Publisher, resources: Resources) -> None:
        self._publisher = publisher
        self._resources = resources

    def __call__(self, parameters: ComposeMosaicParameters, context: TaskContext) -> InspectRasterResult:
        """The plan in short. Raises `PermanentTaskError` where the rasters do not fit together."""
        pieces = [item.piece for item in parameters.items]
        plan = plan_mosaic(
            pieces,
            parameters.options,
            parameters.order,
            chunk_threshold=parameters.target.chunk_threshold,
            memory_limit=self._resources.memory_bytes,
            scratch_limit=self._resources.scratch_bytes,
        )
        request = _request(parameters, pieces)
        what = f"{len(pieces)} rasters"
        reason = self._publisher.up_to_date(request, plan.sources, context)
        if reason is not None:
            return InspectRasterResult(
                source=what, status="unchanged", target=request.name, reason=reason, notes=[]
            )
        context.discover(items(request, plan))
        return summary(what, request, plan)


def _request(parameters: ComposeMosaicParameters, pieces: list[MosaicPiece]) -> CogRequest:
    target = parameters.target
    return CogRequest(
        container=target.target_container,
        name=target.target_name,
        overwrite=target.overwrite,
        thumbnail=target.thumbnail,
        parameters_hash=parameters_hash(target, options=parameters.options, mosaic=parameters.order),
        time=time_of([piece.time for piece in pieces]),
    )
