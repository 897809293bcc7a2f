"""The sample files: small, and of every kind that a listing should tell apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
from rasterio.errors import RasterioIOError
from rio_cogeo.cogeo import cog_validate

from local.stack.sample_files import NAMES, write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


def test_all_files_are_there_and_small(sample: Path) -> None:
    files = {str(path.relative_to(sample)): path.stat().st_size for path in sample.rglob("*.*")}
    assert sorted(files) == sorted(NAMES)
    assert sum(files.values()) < 2_000_000


def test_the_plain_raster_has_a_projection_and_nodata(sample: Path) -> None:
    with rasterio.open(sample / "rasters/elevation.tif") as raster:
        assert (raster.crs.to_epsg(), raster.nodata, raster.dtypes) == (32633, -9999, ("float32",))
    assert not cog_validate(sample / "rasters/elevation.tif")[0]


def test_the_cog_is_valid_and_has_overviews(sample: Path) -> None:
    path = sample / "rasters/landcover_cog.tif"
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as raster:
        assert raster.overviews(1)


def test_the_truncated_raster_cannot_be_read(sample: Path) -> None:
    with (
        pytest.raises(RasterioIOError),
        rasterio.open(sample / "rasters/truncated.tif") as raster,
    ):
        raster.read()


def test_the_vectors_are_geojson(sample: Path) -> None:
    document = json.loads((sample / "vectors/districts.geojson").read_text())
    assert [feature["geometry"]["type"] for feature in document["features"]] == ["Polygon"] * 3
