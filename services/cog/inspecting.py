"""Second stage of a conversion: open the raster by range reads, and plan its COG or say why there is none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import rfc8785
from pydantic import JsonValue

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.containers import ReadContainer
from interfaces.contracts import Contract, JobParameters, TaskParameters
from interfaces.conversions import AcquisitionTime, CogRequest, ConversionPlan, SourceBlob
from interfaces.errors import BlobNotFound, PermanentTaskError
from interfaces.rasters import CogOptions, CogTarget, Target
from interfaces.workflows import TaskContext
from services.raster_opening import RasterOpener, Unreadable
from services.raster_sidecars import sidecar_etags
from services.second_look import UnreadableSource, second_look
from services.stac.acquisition import Acquisition, acquisition
from services.storage_access import container_must_answer

from .mosaic_plan import for_tile
from .naming import cog_name
from .plan import plan_conversion
from .publishing import Publisher
from .resources import Resources

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


_FOLDERS = re.compile(r"(?<![^\s'\"`(])/(?:[^\s/]+/)+")
MAX_BANDS = 64
"""Whose tags are looked at for a time."""


class InspectRasterParameters(TaskParameters):
    """A raster, what is to be made of it, and where it goes."""

    container: ReadContainer
    name: str
    options: CogOptions
    target: CogTarget


class InspectRasterResult(Contract):
    """What the plan says, or why nothing is to be done; `seconds` and bytes are estimates."""

    source: str
    status: Literal["planned", "unchanged"]
    target: str
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    band_count: int | None = None
    content: str | None = None
    compression: str | None = None
    pass_through: bool = False
    tiles: int = 0
    seconds: float = 0.0
    memory_bytes: int = 0
    scratch_bytes: int = 0
    notes: list[str]


class InspectRaster:
    """Plans one conversion, and discovers one item for it, or one for each of its tiles."""

    def __init__(
        self, blobs: BlobRepository, opener: RasterOpener, publisher: Publisher, resources: Resources
    ) -> None:
        self._blobs = blobs
        self._opener = opener
        self._publisher = publisher
        self._resources = resources

    def __call__(self, parameters: InspectRasterParameters, context: TaskContext) -> InspectRasterResult:
        """The plan in short. Raises `PermanentTaskError` with the reason why there is none."""
        with self._opener.sessions.messages.collected() as said:
            result = second_look(lambda: self._inspected(parameters, context))
        return result.model_copy(update={"notes": [*result.notes, *remarks(said)]})

    def _inspected(self, parameters: InspectRasterParameters, context: TaskContext) -> InspectRasterResult:
        container, name = parameters.container, parameters.name
        blob = properties(self._blobs, container, name)
        source = source_blob(self._blobs, container, blob)
        room = self._resources.room(context.check)
        with readable(name), self._opener.reachable(container, blob, room=room) as reachable:
            path = reachable.source.path
            with (
                self._opener.explained(container, blob, path),
                self._opener.opened(reachable, blob) as dataset,
            ):
                request = self._request(parameters, blob, dataset)
                reason = self._publisher.up_to_date(request, [source], context)
                if reason is not None:
                    return InspectRasterResult(
                        source=name, status="unchanged", target=request.name, reason=reason, notes=[]
                    )
                plan = plan_conversion(
                    dataset,
                    source,
                    parameters.options,
                    chunk_threshold=parameters.target.chunk_threshold,
                    memory_limit=self._resources.memory_bytes,
                    scratch_limit=self._resources.scratch_bytes,
                )
        context.discover(items(request, plan))
        return summary(name, request, plan)

    def _request(
        self, parameters: InspectRasterParameters, blob: BlobProperties, dataset: DatasetReader
    ) -> CogRequest:
        found = acquired(dataset, blob, parameters.options)
        return make_request(parameters.target, parameters.options, parameters.container, blob.name, found)


def make_request(
    target: CogTarget, options: CogOptions, container: str, name: str, found: Acquisition
) -> CogRequest:
    """Where the COG of a source goes, and the hash of what is asked of it."""
    known = None if found.source == "last_modified" else found.instant
    return CogRequest(
        container=target.target_container,
        name=cog_name(target.path_template, container, name, known),
        overwrite=target.overwrite,
        thumbnail=target.thumbnail,
        parameters_hash=parameters_hash(target, options=options),
        time=AcquisitionTime(**asdict(found)),
    )


def parameters_hash(target: Target, **asked: JobParameters) -> str:
    """SHA-256 of everything asked that decides a COG's bytes, hex."""
    named: dict[str, Any] = {name: model.model_dump(mode="json") for name, model in asked.items()}
    return hashlib.sha256(rfc8785.dumps({**named, "chunk_threshold": target.chunk_threshold})).hexdigest()


def acquired(dataset: DatasetReader, blob: BlobProperties, options: CogOptions) -> Acquisition:
    """When the data of an open raster were acquired."""
    return acquisition(
        blob.name,
        {**dataset.tags(), **dataset.tags(ns="IMAGERY")},
        blob.last_modified or datetime.now(UTC),
        bands=[dataset.tags(index) for index in dataset.indexes[:MAX_BANDS]],
        given=options.datetime,
    )


def items(request: CogRequest, plan: ConversionPlan) -> Iterator[dict[str, JsonValue]]:
    """One for the whole raster, or one for each tile; `target` is what they are grouped by later."""
    common: dict[str, JsonValue] = {
        "target": f"{request.container}/{request.name}",
        "request": request.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
    }
    if plan.tiles == 0:
        yield common
    for tile in range(plan.tiles):
        # The first brings the whole plan to those who put them together.
        if tile > 0 and plan.mosaic is not None:
            common["plan"] = for_tile(plan, tile).model_dump(mode="json")
        yield {**common, "tile": tile}


def summary(name: str, request: CogRequest, plan: ConversionPlan) -> InspectRasterResult:
    """What a person wants to know of a plan."""
    return InspectRasterResult(
        source=name,
        status="planned",
        target=request.name,
        width=plan.width,
        height=plan.height,
        band_count=plan.band_count,
        content=plan.content,
        compression=plan.creation.get("COMPRESS"),
        pass_through=plan.pass_through,
        tiles=plan.tiles,
        seconds=plan.estimate.seconds / max(plan.tiles, 1),
        memory_bytes=plan.estimate.memory_bytes,
        scratch_bytes=plan.estimate.scratch_bytes,
        notes=plan.notes,
    )


def properties(blobs: BlobRepository, container: str, name: str) -> BlobProperties:
    """The blob as it is now. Raises `PermanentTaskError` where it is missing or forbidden."""
    try:
        with container_must_answer():
            return blobs.properties(container, name)
    except BlobNotFound as error:
        raise PermanentTaskError(error.detail) from error


def source_blob(blobs: BlobRepository, container: str, blob: BlobProperties) -> SourceBlob:
    """The version of a blob that is converted, and of what lies beside it."""
    return SourceBlob(
        container=container,
        name=blob.name,
        etag=blob.etag or "",
        size=blob.size,
        last_modified=blob.last_modified,
        sidecars=sidecar_etags(blobs, container, blob.name),
    )


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn `Unreadable` into `PermanentTaskError`: the file's name and what is wrong with it."""
    try:
        yield
    except Unreadable as error:
        kind = UnreadableSource if error.doubtful else PermanentTaskError
        raise kind(f"{name}: {error.report.reason}") from error


def remarks(messages: list[str]) -> list[str]:
    """What GDAL said of a file, as notes: without the way to it, which is no business of a reader."""
    return [f"GDAL remarks: {_FOLDERS.sub('', message)}" for message in messages]
