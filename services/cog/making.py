"""What making a COG ends with, however it was made: checks, item, thumbnail, upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.conversions import CogFile, CogRequest, ConversionPlan, MadeCog
from interfaces.errors import ContainerNotFound, PermanentTaskError
from interfaces.workflows import TaskContext
from services.raster_sidecars import sidecar_etags
from services.stac.acquisition import Acquisition
from services.stac.decimation import NoCoarseView
from services.stac.footprint import raster_footprint
from services.stac.item import PNG_TYPE, File, ItemLink, build_item
from services.stac.lineage import Lineage, software_versions
from services.stac.thumbnail import thumbnail

from .inspecting import properties
from .naming import thumbnail_name
from .sources import gdal_told, opened
from .validation import CogDescription, describe_cog, validate

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
READ_BYTES = 4 * 1024**2


def lineage(plan: ConversionPlan, request: CogRequest, context: TaskContext) -> dict[str, str]:
    """Tags that say what a COG was made from, and by what."""
    first = plan.sources[0]
    named = f"{first.container}/{first.name}"
    return {
        "LINEAGE_SOURCE": named if len(plan.sources) == 1 else f"{named} and {len(plan.sources) - 1} more",
        "LINEAGE_SOURCE_ETAG": first.etag,
        "LINEAGE_PARAMETERS": request.parameters_hash,
        "LINEAGE_JOB": context.job_id,
        "LINEAGE_SOFTWARE": ", ".join(f"{name} {version}" for name, version in software_versions().items()),
    }


def unchanged_sources(blobs: BlobRepository, plan: ConversionPlan) -> list[BlobProperties]:
    """The sources as they are now. Raises `PermanentTaskError` where one is not what was planned for."""
    found = []
    for source in plan.sources:
        blob = properties(blobs, source.container, source.name)
        if blob.etag != source.etag:
            raise PermanentTaskError(f"{source.name}: was replaced after it was inspected; run the job again")
        if sidecar_etags(blobs, source.container, source.name) != source.sidecars:
            raise PermanentTaskError(
                f"{source.name}: what lies beside it (mask, overviews, metadata) changed after it was "
                "inspected; run the job again"
            )
        found.append(blob)
    return found


class CogMaker:
    """Checks a COG that lies in a local file, and puts it with its thumbnail into scratch storage."""

    def __init__(self, blobs: BlobRepository, scratch_container: str) -> None:
        self._blobs = blobs
        self.scratch_container = scratch_container

    def finish(
        self,
        path: Path,
        plan: ConversionPlan,
        request: CogRequest,
        context: TaskContext,
        *,
        pixels_equal: bool | None,
        tiles: list[str] | None = None,
    ) -> MadeCog:
        """Validate, describe and upload. Raises `PermanentTaskError` with what the validator says."""
        validate(str(path))
        context.check()
        header = describe_cog(str(path))
        file, picture = self._described(str(path), plan, request, context, header, pixels_equal=pixels_equal)
        context.check()
        blob = self.upload(path, context)
        return MadeCog(
            request=request,
            sources=plan.sources,
            pass_through=False,
            container=self.scratch_container,
            blob=blob,
            thumbnail=self._upload(picture, context),
            tiles=tiles or [],
            file=file,
        )

    def passed_through(
        self,
        path: str,
        plan: ConversionPlan,
        request: CogRequest,
        context: TaskContext,
        *,
        md5: str,
    ) -> MadeCog:
        """The same of a source that is published as it is; `md5` is that of its bytes, hex."""
        source = plan.sources[0]
        header = describe_cog(path, size=source.size, md5=md5)
        file, picture = self._described(path, plan, request, context, header, pixels_equal=True)
        return MadeCog(
            request=request,
            sources=plan.sources,
            pass_through=True,
            container=source.container,
            blob=source.name,
            thumbnail=self._upload(picture, context),
            file=file,
        )

    def _described(
        self,
        path: str,
        plan: ConversionPlan,
        request: CogRequest,
        context: TaskContext,
        header: CogDescription,
        *,
        pixels_equal: bool | None,
    ) -> tuple[CogFile, bytes | None]:
        with opened(path, ["GTiff"]) as dataset, gdal_told("describing the COG"):
            picture = _picture(dataset) if request.thumbnail else None
            item = item_of(
                dataset,
                plan,
                request,
                context,
                header,
                pictured=picture is not None,
                links=self._origins(plan),
            )
        file = CogFile(
            **header.model_dump(exclude={"grid"}),
            grid=header.grid,
            pixels_equal=pixels_equal,
            notes=plan.notes,
            item=item,
        )
        return file, picture

    def _origins(self, plan: ConversionPlan) -> list[ItemLink]:
        """All that a mosaic is made of: the item's text names a few."""
        if plan.mosaic is None:
            return []
        return [
            ItemLink("derived_from", self._blobs.url(blob.container, blob.name), title=blob.name)
            for blob in plan.sources
        ]

    def _upload(self, picture: bytes | None, context: TaskContext) -> str | None:
        if picture is None:
            return None
        name = context.scratch_name(".png")
        self._write(
            lambda: self._blobs.write(self.scratch_container, name, picture, content_type="image/png")
        )
        return name

    def upload(self, path: Path, context: TaskContext) -> str:
        """Put a local TIFF into scratch storage, for later stages; answers the blob's name."""
        name = context.scratch_name(".tif")
        self._write(
            lambda: self._blobs.write_stream(
                self.scratch_container, name, pieces(path), content_type=COG_TYPE
            )
        )
        return name

    def _write(self, write: Callable[[], str]) -> None:
        try:
            write()
        except ContainerNotFound:
            # No fault of the raster: nobody made the container before the first conversion.
            self._blobs.ensure_container(self.scratch_container)
            write()


def _picture(dataset: DatasetReader) -> bytes | None:
    """The thumbnail; None where it would take all pixels, since there are no overviews."""
    try:
        return thumbnail(dataset)
    except NoCoarseView:
        return None


def item_of(
    dataset: DatasetReader,
    plan: ConversionPlan,
    request: CogRequest,
    context: TaskContext,
    header: CogDescription,
    *,
    pictured: bool,
    links: Sequence[ItemLink] = (),
) -> dict[str, JsonValue]:
    """The COG's STAC item. Its hrefs are names in the COG's own folder."""
    name = PurePosixPath(request.name)
    picture = PurePosixPath(thumbnail_name(request.name)).name
    return build_item(
        dataset,
        str(name.with_suffix("")),
        data=File(f"./{name.name}", size=header.size, digest=header.md5),
        time=Acquisition(**request.time.model_dump()),
        footprint=raster_footprint(dataset),
        thumbnail=File(f"./{picture}", PNG_TYPE) if pictured else None,
        lineage=Lineage(
            job_id=context.job_id,
            job_type="raster_to_cog" if plan.mosaic is None else "mosaic_to_cog",
            sources=tuple(plan.sources),
            parameters_hash=request.parameters_hash,
            processed=datetime.now(UTC),
            software=software_versions(),
            notes=tuple(plan.notes),
        ),
        title=name.name,
        links=links,
    )


def pieces(path: Path) -> Iterator[bytes]:
    """The content of a file, some megabytes at a time."""
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            yield piece
