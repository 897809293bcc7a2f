"""Third and fourth stage of a conversion: make the COG, whole or tile by tile, and put tiles together."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.contracts import Contract, TaskParameters
from interfaces.conversions import CogFile, CogRequest, ConversionPlan, MadeCog, MadeTile
from interfaces.errors import PermanentTaskError
from interfaces.publications import PublishedCog
from interfaces.workflows import TaskContext
from services.raster_opening import RasterOpener
from services.second_look import second_look

from . import block_checksums, conversion, fidelity
from .estimates import IN_MEMORY_BYTES
from .inspecting import readable, remarks
from .joining import TileFile
from .making import READ_BYTES, CogMaker, lineage, unchanged_sources
from .mosaic_plan import for_tile
from .publishing import Publisher
from .resources import Resources
from .validation import describe_cog

logger = logging.getLogger(__name__)


class ConvertRasterParameters(TaskParameters):
    """A plan, and which tile of it; None: all of it."""

    target: str
    request: CogRequest
    plan: ConversionPlan
    tile: int | None = None


class ConvertRasterResult(Contract):
    """What was made; `size` in bytes."""

    source: str
    tile: int | None
    size: int
    pixels_equal: bool | None
    notes: list[str]


class ConvertRaster:
    """Makes a COG, or one tile of a chunked one, in scratch storage. Only a task that completes counts."""

    def __init__(
        self, blobs: BlobRepository, opener: RasterOpener, maker: CogMaker, resources: Resources
    ) -> None:
        self._blobs = blobs
        self._opener = opener
        self._maker = maker
        self._resources = resources

    def __call__(self, parameters: ConvertRasterParameters, context: TaskContext) -> ConvertRasterResult:
        """Convert and check. Raises `PermanentTaskError` with the reason why that is not possible."""
        with self._opener.sessions.messages.collected() as said:
            result = second_look(lambda: self._converted(parameters, context))
        return result.model_copy(update={"notes": [*result.notes, *remarks(said)]})

    def _converted(self, parameters: ConvertRasterParameters, context: TaskContext) -> ConvertRasterResult:
        if parameters.tile is not None:
            return self._tile(parameters, parameters.tile, context)
        plan = parameters.plan
        sources = unchanged_sources(self._blobs, plan)
        how = "is a COG and passes as it is" if plan.pass_through else "is converted"
        logger.info("%s %s: %s", plan.sources[0].name, how, parameters.target)
        if plan.pass_through:
            made = self._pass_through(parameters, sources[0], context)
        else:
            made = self._whole(parameters, sources, context)
        context.discover([{"target": parameters.target, "made": made.model_dump(mode="json")}])
        compared = "not compared" if made.file.pixels_equal is None else "compared"
        logger.info("%s: %d bytes, its pixels were %s", parameters.target, made.file.size, compared)
        return ConvertRasterResult(
            source=plan.sources[0].name,
            tile=None,
            size=made.file.size,
            pixels_equal=made.file.pixels_equal,
            notes=made.file.notes,
        )

    def _pass_through(
        self, parameters: ConvertRasterParameters, source: BlobProperties, context: TaskContext
    ) -> MadeCog:
        """Nothing is copied yet; its bytes are read once, so that they are known to be readable."""
        plan = parameters.plan
        container = plan.sources[0].container
        digest = hashlib.md5(usedforsecurity=False)
        for offset in range(0, source.size, READ_BYTES):
            context.check()
            digest.update(self._blobs.read(container, source.name, offset, READ_BYTES))
        with (
            readable(source.name),
            self._opener.together([(container, source)], in_memory=READ_BYTES) as paths,
            self._opener.explained(container, source, paths[0]),
        ):
            made = self._maker.passed_through(
                paths[0], plan, parameters.request, context, md5=digest.hexdigest()
            )
        unchanged_sources(self._blobs, plan)
        return made

    def _whole(
        self, parameters: ConvertRasterParameters, sources: list[BlobProperties], context: TaskContext
    ) -> MadeCog:
        plan = parameters.plan
        with self._room(plan, plan.estimate.scratch_bytes, context) as folder:
            target = folder / "cog.tif"
            in_memory = IN_MEMORY_BYTES if plan.mosaic is None else 0
            with self._reached(plan, sources, folder, in_memory) as paths:
                conversion.convert(
                    plan,
                    paths,
                    str(target),
                    threads=self._resources.threads(plan),
                    check=context.check,
                    lineage=lineage(plan, parameters.request, context),
                )
                if plan.lossless:
                    fidelity.compare(plan, paths, str(target), context.check)
            # Whoever replaced the blob meanwhile would have mixed two versions.
            unchanged_sources(self._blobs, plan)
            return self._maker.finish(
                target, plan, parameters.request, context, pixels_equal=True if plan.lossless else None
            )

    def _tile(
        self,
        parameters: ConvertRasterParameters,
        tile: int,
        context: TaskContext,
    ) -> ConvertRasterResult:
        plan = for_tile(parameters.plan, tile)
        sources = unchanged_sources(self._blobs, plan)
        with self._room(plan, tile_bytes(plan), context) as folder:
            target = folder / "tile.tif"
            # By ranges: the other tiles need the rest of it.
            with self._reached(plan, sources, folder, 0) as paths:
                # One thread: its neighbours are converted at the same time.
                joins = conversion.convert_tile(
                    plan, paths, tile, str(target), threads=1, check=context.check
                )
                if plan.lossless:
                    fidelity.compare(plan, paths, str(target), context.check, tile)
            unchanged_sources(self._blobs, plan)
            kept = plan.lossless or conversion.keeps_tiles(plan)
            size = target.stat().st_size
            *_, width, height = plan.window(tile)
            area = (0, 0, width, height)
            digest, blocks = None, None
            if joins:
                factors = conversion.shared_factors(plan)
                blocks = block_checksums.checksum(str(target), area, factors, context.check)
            # What the COG says of all blocks, such as its nodata, is seen in those of one tile.
            if kept and (not joins or tile == 0):
                digest = fidelity.digest(str(target), area, context.check)
            blob = self._maker.upload(target, context)
        made = MadeTile(
            request=parameters.request,
            tile=tile,
            tiles=plan.tiles,
            blob=blob,
            digest=digest,
            blocks=blocks,
            plan=parameters.plan if tile == 0 else None,
        )
        context.discover([{"target": parameters.target, "tile": made.model_dump(mode="json")}])
        return ConvertRasterResult(
            source=plan.sources[0].name,
            tile=tile,
            size=size,
            pixels_equal=True if plan.lossless else None,
            notes=[],
        )

    @contextmanager
    def _room(self, plan: ConversionPlan, scratch: int, context: TaskContext) -> Iterator[Path]:
        """A folder for `scratch` bytes, and memory for what the plan reads at once."""
        estimate = plan.estimate
        with (
            self._resources.reserved(estimate.memory_bytes, scratch, context.check) as folder,
            self._opener.sessions.more_cache(estimate.cache_bytes),
        ):
            yield folder

    @contextmanager
    def _reached(
        self, plan: ConversionPlan, sources: list[BlobProperties], folder: Path, in_memory: int
    ) -> Iterator[list[str]]:
        """Paths under which GDAL reads the sources; its errors are told from storage's.

        A source of at most `in_memory` bytes is fetched at once. `folder` has room for one that must be
        copied first: its size is in the estimate.
        """
        pairs = [(source.container, blob) for source, blob in zip(plan.sources, sources, strict=True)]
        options = self._resources.gdal_options
        with (
            readable(sources[0].name),
            self._opener.together(
                pairs, in_memory=in_memory, options=options, room=lambda _: nullcontext(folder)
            ) as paths,
        ):
            try:
                yield paths
            except PermanentTaskError:
                # Two versions of a blob, read as one, look like a broken file.
                unchanged_sources(self._blobs, plan)
                raise


def tile_bytes(plan: ConversionPlan) -> int:
    """Temporary space of one tile: itself, its overviews, and what compression may add."""
    *_, width, height = plan.window(0)
    share = 2 * plan.estimate.output_bytes * width * height // (plan.width * plan.height)
    return min(plan.estimate.scratch_bytes, share)


class AssembleCogParameters(TaskParameters):
    """What was made for one target: a whole COG, or tiles."""

    target: str
    items: list[dict[str, JsonValue]]


class AssembleCogResult(Contract):
    """`tiles` is 0 where there was nothing to assemble."""

    target: str
    tiles: int
    size: int


class AssembleCog:
    """Puts the tiles of a chunked raster together; whole COGs pass."""

    def __init__(
        self,
        blobs: BlobRepository,
        opener: RasterOpener,
        maker: CogMaker,
        resources: Resources,
        publisher: Publisher,
    ) -> None:
        self._blobs = blobs
        self._opener = opener
        self._maker = maker
        self._resources = resources
        self._publisher = publisher

    def __call__(self, parameters: AssembleCogParameters, context: TaskContext) -> AssembleCogResult:
        """Assemble. Raises `PermanentTaskError` where a tile is missing or two rasters have one name."""
        wholes = [MadeCog.model_validate(item["made"]) for item in parameters.items if "made" in item]
        tiles = [MadeTile.model_validate(item["tile"]) for item in parameters.items if "tile" in item]
        rasters = [cog.sources[0].name for cog in wholes]
        rasters += [tile.plan.sources[0].name for tile in tiles if tile.plan is not None]
        if len(rasters) > 1:
            raise PermanentTaskError(
                f"path_template: {len(rasters)} rasters would all be written as {parameters.target}: "
                + ", ".join(rasters[:5])
            )
        with self._opener.sessions.messages.collected():
            # Of files of our own: what GDAL says of them says nothing that was not said of their sources.
            made = wholes[0] if wholes else second_look(lambda: self._assemble(tiles, context))
        context.discover([{"made": made.model_dump(mode="json")}])
        return AssembleCogResult(target=parameters.target, tiles=len(tiles), size=made.file.size)

    def _assemble(self, tiles: list[MadeTile], context: TaskContext) -> MadeCog:
        tiles = sorted(tiles, key=lambda tile: tile.tile)
        first, plan = tiles[0], tiles[0].plan
        missing = sorted(set(range(first.tiles)) - {tile.tile for tile in tiles})
        if missing or plan is None:
            raise PermanentTaskError(
                f"{len(missing)} of {first.tiles} tiles were not converted, the first of them {missing[0]}"
            )
        estimate = plan.estimate
        names = [tile.blob for tile in tiles]
        container = self._maker.scratch_container
        published = self._publisher.published(first.request, plan.sources, context)
        if published is not None:
            return self._published(published, first.request, names)
        with self._resources.reserved(estimate.memory_bytes, estimate.scratch_bytes, context.check) as folder:
            target = folder / "cog.tif"
            pairs = [(container, self._blobs.properties(container, name)) for name in names]
            with self._opener.together(pairs, options=self._resources.gdal_options) as paths:
                joined = conversion.assemble(
                    plan,
                    paths,
                    str(target),
                    threads=self._resources.threads(plan),
                    files=[self._file(*pair) for pair in pairs],
                    check=context.check,
                    lineage=lineage(plan, first.request, context),
                )
                self._compare(plan, tiles, paths, str(target), joined=joined, check=context.check)
            # Tiles were compared with the source where they could be.
            equal = True if plan.lossless else None
            return self._maker.finish(target, plan, first.request, context, pixels_equal=equal, tiles=names)

    def _compare(
        self,
        plan: ConversionPlan,
        tiles: list[MadeTile],
        paths: list[str],
        target: str,
        *,
        joined: bool,
        check: Callable[[], None],
    ) -> None:
        """Raise `PixelsDiffer` where tiles are not in the COG as they were; lossy ones never are."""
        by_blocks, by_pixels = [], []
        for tile, path in zip(tiles, paths, strict=True):
            area, digest = plan.window(tile.tile), tile.digest
            if tile.blocks is not None and joined:
                by_blocks.append((area, tile.blocks))
            elif tile.blocks is not None and digest is None:
                digest = fidelity.digest(path, (0, 0, *area[2:]), check)
            if digest is not None or (plan.lossless and tile.blocks is None):
                by_pixels.append((area, digest))
        block_checksums.compare_blocks(target, by_blocks, conversion.shared_factors(plan), check)
        fidelity.compare_tiles(target, by_pixels, self._resources.threads(plan), check)

    def _file(self, container: str, blob: BlobProperties) -> TileFile:
        return TileFile(blob.size, partial(self._blobs.read, container, blob.name))

    def _published(self, cog: PublishedCog, request: CogRequest, tiles: list[str]) -> MadeCog:
        """What this run published before it was retried for the sake of others: the tiles are gone.

        Publishing it again is to find its own row. If the target changes before, its bytes are missed.
        """
        with self._opener.together(
            [(cog.container, self._blobs.properties(cog.container, cog.name))]
        ) as paths:
            header = describe_cog(paths[0], size=cog.size, md5=cog.md5)
        return MadeCog(
            request=request,
            sources=cog.sources,
            pass_through=False,
            container=self._maker.scratch_container,
            blob=tiles[0],
            thumbnail=tiles[0] if "thumbnail" in cast("dict[str, JsonValue]", cog.item["assets"]) else None,
            tiles=tiles,
            file=CogFile(**header.model_dump(), pixels_equal=None, notes=cog.notes, item=cog.item),
        )
