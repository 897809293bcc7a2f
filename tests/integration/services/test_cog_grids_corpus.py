"""Real rasters: turned, rotated, polar, over the antimeridian or placed by points, against gdalwarp."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from interfaces.conversions import Warp
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions
from services.cog.grid import warp_for
from services.cog.warping import warped

RASTERS = [
    "developmentseed+rio-stac/dataset_dateline.tif",
    "cogeotiff+rio-tiler/inverted_lat.tif",
    "cogeotiff+rio-tiler/clp.tif",
    "rasterio+rasterio/RGB2.byte.tif",
    "georust+gdal/gcp.tif",
    "corteva+rioxarray/test_rpcs.tif",
    "corteva+rioxarray/cint16.tif",
    "GeoTIFF+test-data/nt_20201024_f18_nrt_s.tif",
    "r-spatial+sf/geomatrix.tif",
    "cogeotiff+rio-cogeo/image_colormap.tif",
    "locationtech+geotrellis/econic.tif",
]


@pytest.fixture(scope="module")
def rasters(corpus: Path) -> Path:
    return corpus / "raster"


def warp(path: Path, **options: Any) -> Warp | None:
    with rasterio.open(path) as dataset:
        return warp_for(dataset, CogOptions(**options), "categorical")


def by_gdalwarp(path: Path, warp: Warp, target: Path) -> Path:
    """The same grid made by the command line tool, whichever release of it is there."""
    program = shutil.which("gdalwarp")
    if program is None:
        pytest.skip("gdalwarp is not installed")
    x, _, left, _, y, top = warp.grid.transform
    size = warp.grid.width, warp.grid.height
    box = left, top + y * size[1], left + x * size[0], top
    with rasterio.open(path) as dataset:
        nodata, rpcs = dataset.nodata, dataset.rpcs
    options = [
        "-q",
        "-et",
        "0",
        "-r",
        warp.resampling,
        "-wo",
        "UNIFIED_SRC_NODATA=NO",
        "-wo",
        "SAMPLE_GRID=YES",
    ]
    options += ["-t_srs", warp.grid.crs] if warp.grid.crs else []
    options += ["-te", *map(repr, box), "-ts", *map(str, size)]
    options += ["-rpc", "-to", f"RPC_HEIGHT={rpcs.height_off}"] if rpcs else []
    options += ["-dstalpha"] if nodata is None else ["-dstnodata", repr(nodata)]
    subprocess.run([program, *options, str(path), str(target)], check=True, capture_output=True)
    return target


@pytest.mark.parametrize("target", ["same", "EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize("name", RASTERS)
def test_pixels_are_those_of_gdalwarp(rasters: Path, tmp_path: Path, name: str, target: str) -> None:
    path = rasters / name
    made = warp(path, target_crs=target)
    if made is None:
        pytest.skip("the pixels stay where they are")
    theirs = by_gdalwarp(path, made, tmp_path / "theirs.tif")

    with (
        rasterio.open(path) as dataset,
        warped(dataset, made, nodata=dataset.nodata) as view,
        rasterio.open(theirs) as other,
    ):
        numpy.testing.assert_array_equal(view.read(), other.read(list(range(1, dataset.count + 1))))
        numpy.testing.assert_array_equal(view.dataset_mask() > 0, other.dataset_mask() > 0)
        # Something is there, whatever the two agree on.
        assert (view.dataset_mask() > 0).any() or not (dataset.dataset_mask() > 0).any()


def test_a_raster_over_the_antimeridian_is_as_wide_as_it_is(rasters: Path) -> None:
    path = rasters / "developmentseed+rio-stac/dataset_dateline.tif"
    for target, turn in (("EPSG:4326", 360.0), ("EPSG:3857", 40_075_016.7)):
        made = warp(path, target_crs=target)
        assert made is not None
        size, _, left, *_ = made.grid.transform
        assert left < turn / 2 < left + size * made.grid.width
        assert size * made.grid.width < turn / 80
        assert 0.5 < made.grid.width * made.grid.height / (2325 * 2355) < 2


@pytest.mark.parametrize(
    "name",
    ["GeoTIFF+test-data/bremen_sea_ice_conc_2022_9_9.tif", "GeoTIFF+test-data/nt_20201024_f18_nrt_s.tif"],
)
def test_antarctica_reaches_around_the_earth_and_to_the_pole(rasters: Path, name: str) -> None:
    made = warp(rasters / name, target_crs="EPSG:4326")
    assert made is not None
    size, _, left, _, _, top = made.grid.transform
    assert (left, left + size * made.grid.width) == pytest.approx((-180, 180))
    assert top - size * made.grid.height == pytest.approx(-90)
    with rasterio.open(rasters / name) as dataset, warped(dataset, made, nodata=dataset.nodata) as view:
        # The row at the pole is the pixel of the source in which the pole lies, on every longitude.
        row, column = dataset.index(0.1, 0.1)
        around = numpy.nan_to_num(dataset.read(1)[row - 1 : row + 2, column - 1 : column + 2], nan=-7)
        assert numpy.isin(numpy.nan_to_num(view.read(1)[-1], nan=-7), around).all()


def test_the_south_up_raster_is_the_same_upside_down(rasters: Path) -> None:
    path = rasters / "cogeotiff+rio-tiler/inverted_lat.tif"
    made = warp(path)
    assert made is not None
    assert made.grid.transform == [0.5, 0, -180, 0, -0.5, 90]
    with rasterio.open(path) as dataset, warped(dataset, made, nodata=dataset.nodata) as view:
        numpy.testing.assert_array_equal(view.read(), dataset.read()[:, ::-1])


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("cogeotiff+rio-tiler/cog_hirise_mars.tif", {"target_crs": "EPSG:3857"}, "not one of the Earth"),
        ("rasterio+rasterio/rotated.tif", {"target_crs": "EPSG:3857"}, "has no CRS and assume_crs is not"),
        (
            "rasterio+rasterio/rotated.tif",
            {"placement": "refuse"},
            "is rotated or sheared, and placement is refuse",
        ),
        ("georust+gdal/gcp.tif", {"placement": "refuse"}, "ground control points, and placement is refuse"),
        (
            "corteva+rioxarray/test_rpcs.tif",
            {"placement": "refuse"},
            "placed by RPCs, and placement is refuse",
        ),
        ("mmomtchev+node-gdal-async/unsupported-srs.tif", {"web_optimized": True}, "cannot be interpreted"),
        ("image-rs+image-tiff/BigTIFFMotorola.tif", {"target_crs": "EPSG:4326"}, "is not georeferenced"),
    ],
)
def test_what_cannot_be_warped_is_refused_with_the_reason(
    rasters: Path, name: str, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PermanentTaskError, match=reason):
        warp(rasters / name, **options)


def test_a_crs_that_cannot_be_interpreted_is_no_matter_to_pixels_that_stay(rasters: Path) -> None:
    assert warp(rasters / "mmomtchev+node-gdal-async/unsupported-srs.tif") is None
