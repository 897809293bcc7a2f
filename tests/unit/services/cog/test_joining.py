"""The blocks of tiles become those of the COG, as GDAL would have written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from rasterio.windows import Window

from interfaces.conversions import ConversionPlan
from interfaces.errors import PermanentTaskError
from services.cog import conversion, joining
from services.cog.conversion import assemble, convert_tile
from services.cog.joining import TileFile, blocks_of
from services.cog.validation import validate
from tests.unit.services.rasters import write_raster

from .making import plan_of

WIDTH, HEIGHT = 1296, 1104
"""Pixels; what overviews down to a sixteenth are made of whole pixels of."""
TILE = 512
BLOCK = 128
SHARED = 3
"""Levels of which a block shows one tile: of all pixels, of halves and of quarters."""


def tiles_of(folder: Path, plan: ConversionPlan, source: Path) -> list[Path]:
    """The files of all tiles."""
    tiles = [folder / f"{tile}.tif" for tile in range(plan.tiles)]
    for tile, path in enumerate(tiles):
        convert_tile(plan, [str(source)], tile, str(path), threads=1)
    return tiles


def planned(path: Path, *, full_width: bool = False, **profile: Any) -> ConversionPlan:
    """A plan in nine tiles, or in three; those at the right and lower edges are no whole ones."""
    plan = plan_of(path, profile={"block_size": BLOCK, **profile})
    return plan.model_copy(update={"tile_size": TILE, "full_width_tiles": full_width})


def raster(
    path: Path, dtype: str = "uint8", bands: int = 1, nodata: float | None = None, **more: Any
) -> Path:
    """Noise, and a part without data."""
    data = numpy.random.default_rng(1).integers(1, 60, (bands, HEIGHT, WIDTH)).astype(dtype)
    if nodata is not None:
        data[:, :304, :304] = nodata
    return write_raster(path, data, nodata=nodata, **more)


@pytest.fixture
def written_by_gdal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Assembles tiles with the COG driver alone."""

    def write(plan: ConversionPlan, tiles: list[Path], target: Path) -> bytes:
        with monkeypatch.context() as patched:
            patched.setattr(conversion, "_join", lambda *_: False)
            assemble(plan, [str(tile) for tile in tiles], str(target), threads=1)
        return target.read_bytes()

    return write


@pytest.fixture
def compressed_again(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each assembly whether the blocks of its tiles could not be taken."""
    found: list[bool] = []
    join = conversion._join

    def noted(*arguments: Any) -> bool:
        found.append(not join(*arguments))
        return not found[-1]

    monkeypatch.setattr(conversion, "_join", noted)
    return found


@pytest.mark.parametrize(
    ("content", "profile", "full_width"),
    [
        ({}, {}, False),
        ({"dtype": "uint16", "bands": 2}, {"compression": "deflate", "level": 1}, True),
        ({"dtype": "float32", "nodata": numpy.nan}, {"compression": "zstd", "level": 3}, False),
        ({"dtype": "int16", "nodata": -32768}, {"compression": "lzw", "predictor": "none"}, True),
        ({"bands": 4, "photometric": "rgb", "alpha": "yes"}, {"compression": "none"}, False),
        (
            {"dtype": "uint64"},
            {"compression": "zstd", "level": 1, "overview_resampling": "nearest", "bigtiff": "yes"},
            False,
        ),
        ({"dtype": "float64", "nodata": -9999}, {"compression": "zstd", "overview_resampling": "mode"}, True),
    ],
)
def test_a_cog_of_tiles_is_byte_for_byte_what_gdal_writes_over_them(
    tmp_path: Path,
    written_by_gdal: Any,
    compressed_again: list[bool],
    content: dict[str, Any],
    profile: dict[str, Any],
    full_width: bool,
) -> None:
    path = raster(tmp_path / "a.tif", **content)
    plan = planned(path, full_width=full_width, **profile)
    tiles = tiles_of(tmp_path, plan, path)
    target = tmp_path / "joined.tif"

    assemble(plan, [str(tile) for tile in tiles], str(target), threads=1)

    assert compressed_again == [False]
    assert target.read_bytes() == written_by_gdal(plan, tiles, tmp_path / "written.tif")
    validate(str(target))


def test_blocks_that_are_no_power_of_two_are_taken_without_those_of_overviews(
    tmp_path: Path, written_by_gdal: Any, compressed_again: list[bool]
) -> None:
    """Which GDAL makes of 128 pixels then."""
    path = raster(tmp_path / "a.tif")
    plan = planned(path, block_size=144).model_copy(update={"tile_size": 288})
    tiles = tiles_of(tmp_path, plan, path)
    target = tmp_path / "joined.tif"

    assemble(plan, [str(tile) for tile in tiles], str(target), threads=1)

    assert conversion.shared_factors(plan) == [1]
    assert compressed_again == [False]
    assert target.read_bytes() == written_by_gdal(plan, tiles, tmp_path / "written.tif")
    validate(str(target))


def test_the_last_pixels_of_overviews_are_made_of_what_is_left(tmp_path: Path) -> None:
    data = numpy.full((1, 1101, 1301), 9, "uint8")
    path = write_raster(tmp_path / "a.tif", data)
    plan = planned(path)

    assemble(plan, [str(tile) for tile in tiles_of(tmp_path, plan, path)], str(tmp_path / "b.tif"), threads=1)

    for level, size in enumerate([(551, 651), (276, 326), (138, 163), (69, 82)]):
        with rasterio.open(tmp_path / "b.tif", OVERVIEW_LEVEL=level) as overview:
            assert overview.shape == size
            assert numpy.unique(overview.read()).tolist() == [9]


def test_nothing_is_said_of_nodata_that_only_gdal_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = raster(tmp_path / "a.tif", dtype="int8", nodata=7)
    plan = planned(path)
    tile = tmp_path / "tile.tif"
    convert_tile(plan, [str(path)], 8, str(tile), threads=1)

    assert len(blocks_of(TileFile.local(str(tile)))) == 5

    assert not caplog.records


def test_a_raster_without_any_data_is_a_valid_cog(tmp_path: Path, compressed_again: list[bool]) -> None:
    """Of whose coarse overviews no block is stored."""
    path = write_raster(tmp_path / "a.tif", numpy.full((1, HEIGHT, WIDTH), 7, "int16"), nodata=7)
    plan = planned(path)
    target = tmp_path / "cog.tif"

    assemble(plan, [str(tile) for tile in tiles_of(tmp_path, plan, path)], str(target), threads=1)

    assert compressed_again == [False]
    validate(str(target))
    for options in ({}, {"OVERVIEW_LEVEL": 1}, {"OVERVIEW_LEVEL": 3}):
        with rasterio.open(target, **options) as level:
            assert level.read(masked=True).mask.all()


@pytest.mark.parametrize("which", ["one", "all"])
def test_tiles_in_another_compression_are_compressed_again(
    tmp_path: Path, which: str, compressed_again: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a release before this one."""
    path = raster(tmp_path / "a.tif")
    plan = planned(path)
    tiles = tiles_of(tmp_path, plan, path)
    with monkeypatch.context() as before:
        before.setattr(joining, "tile_encoding", lambda _: conversion.FAST)
        if which == "one":
            convert_tile(plan, [str(path)], 3, str(tiles[3]), threads=1)
        else:
            tiles = tiles_of(tmp_path, plan, path)
    target = tmp_path / "cog.tif"

    assemble(plan, [str(tile) for tile in tiles], str(target), threads=1)

    assert compressed_again == [True]
    with rasterio.open(target) as cog, rasterio.open(path) as source:
        assert cog.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert numpy.array_equal(cog.read(), source.read())
    validate(str(target))


def test_a_tile_without_some_level_or_block_does_not_fit(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif")
    plan = planned(path)
    factors = joining.shared_factors(plan, [2, 4, 8, 16])
    found = [blocks_of(TileFile.local(str(tile))) for tile in tiles_of(tmp_path, plan, path)]
    levels = found[0]

    assert factors == [1, 2, 4]
    assert joining.fit(plan, found, factors)
    assert not joining.fit(plan, [levels[:2], *found[1:]], factors)
    assert not joining.fit(plan, [[levels[1], levels[0], *levels[2:]], *found[1:]], factors)
    hole = joining.Blocks(**{**vars(levels[0]), "offsets": (0, *levels[0].offsets[1:])})
    assert not joining.fit(plan, [[hole, *levels[1:]], *found[1:]], factors)


@pytest.mark.parametrize(
    ("change", "joinable"),
    [
        ({}, True),
        ({"creation": {"COMPRESS": "JPEG", "BLOCKSIZE": "128"}}, False),
        ({"creation": {"COMPRESS": "LERC", "BLOCKSIZE": "128"}}, False),
        ({"dtype": "complex64"}, False),
        ({"dtype": "int64"}, True),
        ({"dtype": "int64", "nodata": 7}, False),
        ({"tile_size": 200}, False),
        ({"tile_size": None}, False),
    ],
)
def test_only_blocks_that_stand_for_themselves_are_taken(
    tmp_path: Path, change: dict[str, Any], joinable: bool
) -> None:
    plan = planned(raster(tmp_path / "a.tif")).model_copy(update=change)

    assert joining.joinable(plan, [2, 4]) == joinable


def test_overviews_that_look_beyond_tiles_have_all_compressed_again(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif")
    plan = planned(path, overview_resampling="cubic")

    assert not conversion.keeps_tiles(plan)


def test_a_cog_that_outgrows_its_tiff_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raster(tmp_path / "a.tif")
    plan = planned(path)
    tiles = tiles_of(tmp_path, plan, path)
    monkeypatch.setattr(joining, "CLASSIC_BYTES", 100_000)

    with pytest.raises(PermanentTaskError, match=r"profile\.bigtiff: the COG is larger than 4 GiB"):
        assemble(plan, [str(tile) for tile in tiles], str(tmp_path / "cog.tif"), threads=1)


def test_neighbouring_blocks_are_read_together(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif")
    plan = planned(path)
    tiles = tiles_of(tmp_path, plan, path)
    reads = []

    def counted(file: TileFile) -> TileFile:
        def read(offset: int, length: int) -> bytes:
            reads.append(length)
            return file.read(offset, length)

        return TileFile(file.size, read)

    files = [counted(TileFile.local(str(tile))) for tile in tiles]
    assemble(plan, [str(tile) for tile in tiles], str(tmp_path / "cog.tif"), files=files, threads=1)

    rows = sum(-(-plan.window(tile)[3] // (BLOCK * 2**level)) for tile in range(9) for level in range(SHARED))
    assert len(reads) <= rows + 2 * plan.tiles
    with rasterio.open(tmp_path / "cog.tif") as cog, rasterio.open(path) as source:
        window = Window(200, 200, 300, 300)
        assert numpy.array_equal(cog.read(window=window), source.read(window=window))
