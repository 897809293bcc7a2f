"""Carries a plan out: sources to a COG, at once or by way of tiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from interfaces.conversions import ConversionPlan
from interfaces.errors import ContractViolation, PermanentTaskError

from . import documents, joining
from .composition import compose, tiles_together, without_blocks
from .copying import copy
from .domains import creation_options as of_domains
from .estimates import item_bytes, overview_chunk_bytes
from .joining import TileFile
from .sources import gdal_told, opened

if TYPE_CHECKING:
    from rasterio.enums import Resampling

EXACT_IN_TILES = {"nearest", "average", "mode"}
"""Resamplings that look at no pixel outside of those that an overview's pixel covers."""

FAST: tuple[dict[str, str], dict[str, str]] = {"COMPRESS": "ZSTD", "ZSTD_LEVEL": "1"}, {}
"""Creation options of tiles whose pixels are compressed once more, and settings for their overviews."""


def _go_on() -> None:
    """Nobody can cancel."""


def convert(
    plan: ConversionPlan,
    paths: list[str],
    target: str,
    *,
    threads: int,
    lineage: dict[str, str] | None = None,
    check: Callable[[], None] = _go_on,
) -> None:
    """Write the whole COG to the local file `target`.

    `paths` are GDAL's names of the plan's sources. `lineage` is added to the dataset's tags; `check` is
    called between steps and while pixels are copied, and may raise. Temporary files are made beside the
    target. Raises `PermanentTaskError` when the pixels cannot be read or stored.
    """
    if plan.pass_through:
        raise ContractViolation("a COG that passes through is copied, not converted")
    with _composing(plan, target) as scratch:
        check()
        root = compose(plan, paths, scratch)
        documents.add_tags(root, lineage or {})
        name = documents.write(root, scratch / "output.vrt")
        check()
        _write_cog(name, target, plan.creation | of_domains(root), threads, check)
    check()


def convert_tile(
    plan: ConversionPlan,
    paths: list[str],
    tile: int,
    target: str,
    *,
    threads: int,
    check: Callable[[], None] = _go_on,
) -> bool:
    """Write one tile, from 0, as a tiled GeoTIFF whose overviews fit those of its neighbours.

    Answers whether its blocks are compressed as those of the COG have to be.
    """
    import rasterio

    if not 0 <= tile < plan.tiles:
        raise ContractViolation(f"tile {tile} of {plan.tiles}")
    with _composing(plan, target) as scratch:
        check()
        root = compose(plan, paths, scratch, tile)
        name = documents.write(root, scratch / "output.vrt")
        *_, width, height = plan.window(tile)
        factors = joining.made_factors(overview_factors(plan), width, height)
        joined = keeps_tiles(plan) and not documents.has_mask(root)
        encoding, settings = joining.tile_encoding(plan) if joined else FAST
        options = _tile_options(plan, threads) | encoding | of_domains(root)
        check()
        with gdal_told("converting a tile"):
            copy(name, target, source_driver="VRT", driver="GTiff", options=options, check=check)
        if factors:
            check()
            with (
                gdal_told("making overviews of a tile"),
                rasterio.Env(**settings),
                rasterio.open(target, "r+", NUM_THREADS=threads) as written,
            ):
                written.build_overviews(factors, _overview_resampling(plan))
    _refuse_sidecar(target)
    return joined


def assemble(
    plan: ConversionPlan,
    tile_paths: list[str],
    target: str,
    *,
    threads: int,
    files: list[TileFile] | None = None,
    lineage: dict[str, str] | None = None,
    check: Callable[[], None] = _go_on,
) -> bool:
    """Write the COG from the files of all tiles, in their order; their overviews become its own.

    `tile_paths` are GDAL's names of them, and `files` their bytes; None: the names are those of local files.
    Answers whether their blocks were taken as they are, because they are compressed as they have to be; else
    all were compressed again.
    """
    if len(tile_paths) != plan.tiles:
        raise ContractViolation(f"{plan.tiles} tiles are planned, {len(tile_paths)} are given")
    with _composing(plan, target) as scratch:
        with opened(tile_paths[0], ["GTiff"]) as first, gdal_told("reading a tile"):
            root = tiles_together(plan, first, tile_paths, scratch)
        documents.add_tags(root, lineage or {})
        factors = overview_factors(plan)
        joined = False
        if keeps_tiles(plan) and not documents.has_mask(root):
            files = files or [TileFile.local(path) for path in tile_paths]
            empty = without_blocks(plan, root, tile_paths, factors, shared_factors(plan), scratch)
            joined = _join(plan, empty, files, target, scratch, check)
        if not joined:
            creation = plan.creation | of_domains(root)
            if factors:
                documents.add_overviews(root, factors, _overview_resampling(plan).name)
                creation["OVERVIEWS"] = "FORCE_USE_EXISTING"
                del creation["OVERVIEW_COUNT"]
            check()
            _write_cog(documents.write(root, scratch / "output.vrt"), target, creation, threads, check)
    check()
    return joined


def shared_factors(plan: ConversionPlan) -> list[int]:
    """The factors of overviews of which a block shows one tile only; 1 is the full resolution."""
    return joining.shared_factors(plan, overview_factors(plan))


def _join(
    plan: ConversionPlan,
    empty: Element,
    files: list[TileFile],
    target: str,
    scratch: Path,
    check: Callable[[], None],
) -> bool:
    """Write the COG from the blocks of tiles; False: they are not encoded as those of the COG are.

    `empty` is the output without what the blocks bring.
    """
    shared = shared_factors(plan)
    blocks = []
    for file in files:
        check()
        blocks.append(joining.blocks_of(file, len(shared)))
    if not joining.fit(plan, blocks, shared):
        return False
    creation = plan.creation | of_domains(empty) | {"SPARSE_OK": "YES"}
    if overview_factors(plan):
        creation["OVERVIEWS"] = "FORCE_USE_EXISTING"
        del creation["OVERVIEW_COUNT"]
    _write_cog(documents.write(empty, scratch / "empty.vrt"), target, creation, 1, check)
    if not joining.alike(joining.left_out(target), blocks[0], shared):
        os.unlink(target)
        return False
    joining.join(plan, target, files, blocks, len(shared), check)
    return True


def keeps_tiles(plan: ConversionPlan) -> bool:
    """Whether pixels are in the COG as they are in the tiles, whatever they were in the source."""
    return joining.joinable(plan, overview_factors(plan))


def overview_factors(plan: ConversionPlan) -> list[int]:
    """Of the overviews that tiles bring along; none where pixels of neighbours would have to be known."""
    count = int(plan.creation.get("OVERVIEW_COUNT", "0"))
    resampling = plan.creation.get("OVERVIEW_RESAMPLING", "").lower()
    if plan.tile_size is None or resampling not in EXACT_IN_TILES or plan.tile_size % 2**count:
        return []
    return [2**level for level in range(1, count + 1)]


@contextmanager
def _composing(plan: ConversionPlan, target: str) -> Iterator[Path]:
    """A folder for documents beside the target, and GDAL's settings for writing."""
    import rasterio

    folder = os.path.dirname(os.path.abspath(target))
    settings = {
        # Not GDAL_NUM_THREADS: strips of the source would be decoded by threads too, which costs a third
        # more of the processor and saves no time. And sources are opened by this thread alone: no other one
        # has the options of its session, without which GDAL does not reach storage.
        "VRT_NUM_THREADS": "1",
        "GDAL_TIFF_INTERNAL_MASK": "YES",
        "GDAL_OVR_CHUNK_MAX_SIZE": str(
            overview_chunk_bytes(int(plan.creation["BLOCKSIZE"]), plan.band_count * item_bytes(plan.dtype))
        ),
    }
    with TemporaryDirectory(prefix="composition-", dir=folder) as scratch, rasterio.Env(**settings):
        yield Path(scratch)


def _write_cog(
    name: str, target: str, creation: dict[str, str], threads: int, check: Callable[[], None]
) -> None:
    options = {"NUM_THREADS": str(threads), **creation}
    with gdal_told("converting the raster"):
        copy(name, target, source_driver="VRT", driver="COG", options=options, check=check)
    _refuse_sidecar(target)


def _tile_options(plan: ConversionPlan, threads: int) -> dict[str, str]:
    """In the blocks of the COG."""
    block = plan.creation["BLOCKSIZE"]
    return {
        "TILED": "YES",
        "BLOCKXSIZE": block,
        "BLOCKYSIZE": block,
        "INTERLEAVE": "PIXEL",
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": str(threads),
    }


def _overview_resampling(plan: ConversionPlan) -> Resampling:
    from rasterio.enums import Resampling

    return Resampling[plan.creation["OVERVIEW_RESAMPLING"].lower()]


def _refuse_sidecar(target: str) -> None:
    """What a TIFF cannot hold, GDAL puts beside it, where nobody would find it."""
    sidecar = Path(f"{target}.aux.xml")
    if not sidecar.exists():
        return
    lost = "<SRS" in sidecar.read_text(encoding="utf-8", errors="replace")
    sidecar.unlink()
    if lost:
        raise PermanentTaskError("the CRS cannot be stored in a GeoTIFF")
