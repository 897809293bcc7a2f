"""Copies that can be stopped, and say why they fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import rasterio
import rasterio.shutil
from rasterio.errors import RasterioIOError

from interfaces.errors import PermanentTaskError, TaskCancelled
from services.cog.conversion import assemble, convert, convert_tile
from services.cog.copying import copy
from services.gdal_session import READING, GdalSessions
from tests.unit.services.rasters import write_raster

from .making import go_on, plan_of

SIDE = 3000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    y, x = numpy.mgrid[0:SIDE, 0:SIDE]
    return write_raster(tmp_path / "large.tif", ((x * 2 + y * 3) % 251).astype("uint8")[None])


def cancelled_at(call: int) -> tuple[Callable[[], None], list[int]]:
    """A check that raises when it is called for the so manieth time and ever after, and its calls."""
    calls: list[int] = []

    def check() -> None:
        calls.append(len(calls) + 1)
        if len(calls) >= call:
            raise TaskCancelled("the job was cancelled")

    return check, calls


@pytest.mark.parametrize("call", [6, 9, 20])
def test_a_conversion_is_cancelled_while_gdal_copies(tmp_path: Path, large: Path, call: int) -> None:
    """Six: after the checks between steps and the first sign of progress; the others: later ones."""
    plan = plan_of(large, profile={"block_size": 128})
    folder = tmp_path / "made"
    folder.mkdir()
    check, calls = cancelled_at(call)
    with rasterio.Env(**READING), pytest.raises(TaskCancelled):
        convert(plan, [str(large)], str(folder / "cog.tif"), threads=2, check=check)
    assert len(calls) == call
    # Neither documents nor overviews.
    assert set(os.listdir(folder)) <= {"cog.tif"}


def test_tiles_and_what_is_made_of_them_are_cancelled_while_gdal_copies(tmp_path: Path, large: Path) -> None:
    plan = plan_of(large, profile={"block_size": 128}).model_copy(update={"tile_size": 2048})
    tiles = [tmp_path / f"{number}.tif" for number in range(plan.tiles)]
    check, calls = cancelled_at(5)
    with rasterio.Env(**READING):
        with pytest.raises(TaskCancelled):
            convert_tile(plan, [str(large)], 0, str(tiles[0]), threads=1, check=check)
        for number, path in enumerate(tiles):
            convert_tile(plan, [str(large)], number, str(path), threads=1)
        again, more = cancelled_at(5)
        with pytest.raises(TaskCancelled):
            assemble(plan, list(map(str, tiles)), str(tmp_path / "cog.tif"), threads=1, check=again)
    assert len(calls) == len(more) == 5


def test_a_copy_is_that_of_rasterio(tmp_path: Path, large: Path) -> None:
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": "256"}
    names = [tmp_path / "ä b.tif", tmp_path / "other.tif"]
    with rasterio.Env(**READING):
        copy(str(large), str(names[0]), source_driver="GTiff", driver="COG", options=options, check=go_on)
        rasterio.shutil.copy(large, names[1], driver="COG", **options)
    assert names[0].read_bytes() == names[1].read_bytes()


def test_a_source_that_another_driver_opens_is_not_opened(tmp_path: Path, large: Path) -> None:
    target = str(tmp_path / "a.tif")
    with rasterio.Env(**READING), pytest.raises(RasterioIOError, match=r"large\.tif"):
        copy(str(large), target, source_driver="VRT", driver="GTiff", options={}, check=go_on)


def test_the_reason_is_what_gdal_says_first(tmp_path: Path, large: Path) -> None:
    path = tmp_path / "broken.tif"
    rasterio.shutil.copy(large, path, driver="GTiff", COMPRESS="DEFLATE", TILED="YES")
    plan = plan_of(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    with (
        rasterio.Env(**READING),
        pytest.raises(PermanentTaskError, match=r"GDAL fails while converting the raster: ZIPDecode.*band 1"),
    ):
        convert(plan, [str(path)], str(tmp_path / "cog.tif"), threads=1)
    # The handler of errors is gone with the copy.
    with rasterio.Env(**READING), pytest.raises(RasterioIOError, match="nothing"):
        rasterio.open(tmp_path / "nothing.tif")


def test_warnings_are_collected_as_those_of_rasterio_are(tmp_path: Path, large: Path) -> None:
    options = {"NOT_AN_OPTION": "1"}
    with rasterio.Env(**READING), GdalSessions().messages.collected() as said:
        copy(
            str(large),
            str(tmp_path / "a.tif"),
            source_driver="GTiff",
            driver="GTiff",
            options=options,
            check=go_on,
        )
    assert any("NOT_AN_OPTION" in message for message in said)
