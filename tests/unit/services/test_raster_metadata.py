"""What is found out about rasters, on small files written here."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from services import raster_metadata
from services.raster_footprint import wgs84_bounds

from .rasters import inspect, readable, unreadable, write_raster


def test_the_header_of_a_raster(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", nodata=7, compress="deflate")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(source="a test")
        dataset.set_band_description(1, "height")
        dataset.scales, dataset.offsets, dataset.units = (0.1,), (5.0,), ("m",)

    report = readable(inspect(path))

    assert (report.driver, report.width, report.height, report.band_count) == ("GTiff", 64, 48, 1)
    assert (report.dtypes, report.nodata, report.compression) == (["uint16"], 7, "DEFLATE")
    assert report.crs is not None
    assert (report.crs.epsg, report.crs.authority, report.crs.wkt2) == (32632, "EPSG:32632", None)
    assert report.transform == [10, 0, 500_000, 0, -10, 5_600_000]
    assert report.bounds == [500_000, 5_599_520, 500_640, 5_600_000]
    assert report.bounds_wgs84 == pytest.approx([9.0, 50.547, 9.009, 50.551], abs=1e-3)
    assert report.tags["source"] == "a test"
    (band,) = report.bands
    assert (band.description, band.scale, band.offset, band.unit) == ("height", 0.1, 5.0, "m")
    assert (band.mask_flags, band.color_interpretation) == (["nodata"], "gray")


@pytest.mark.parametrize(
    ("nodata", "said"),
    [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (-9999.5, -9999.5), (None, None)],
)
def test_nodata_is_json(tmp_path: Path, nodata: float | None, said: object) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((1, 4, 4), "float32"), nodata=nodata)

    report = readable(inspect(path))

    assert report.nodata == said
    json.dumps(report.model_dump(mode="json"), allow_nan=False)


def test_a_crs_without_a_code_is_wkt2(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs="+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84")

    crs = readable(inspect(path)).crs

    assert crs is not None
    assert crs.epsg is None
    assert crs.wkt2 is not None
    assert crs.wkt2.startswith("PROJCRS[")


def test_a_raster_without_a_crs_has_no_place_and_says_so(tmp_path: Path) -> None:
    report = readable(inspect(write_raster(tmp_path / "a.tif", crs=None)))

    assert (report.crs, report.bounds_wgs84) == (None, None)
    assert report.bounds_wgs84_reason == "the raster has no CRS"


def test_a_raster_of_mars_has_no_place_on_earth_and_says_so(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs="+proj=eqc +R=3396190 +units=m")

    report = readable(inspect(path))

    assert report.bounds_wgs84 is None
    assert report.bounds_wgs84_reason is not None
    assert "3396190 m" in report.bounds_wgs84_reason


def test_a_raster_over_the_antimeridian_has_west_greater_than_east(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", crs="EPSG:32660", transform=Affine(10_000, 0, 600_000, 0, -10_000, 6e6)
    )

    bounds = readable(inspect(path)).bounds_wgs84

    assert bounds is not None
    west, south, east, north = bounds
    assert west > 170
    assert east < -170
    assert south < north


def test_a_raster_over_a_pole_reaches_all_longitudes_and_the_pole() -> None:
    corners = [(x * 3e6, y * 3e6) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]

    bounds, reason = wgs84_bounds(rasterio.CRS.from_epsg(3031), corners)

    assert reason is None
    assert bounds is not None
    assert bounds[:3] == [-180, -90, 180]
    assert -70 < bounds[3] < -40


@pytest.mark.parametrize(
    ("west", "east", "expected"),
    [(0, 360, (-180, 180)), (170, 190, (170, -170)), (200, 340, (-160, -20)), (-180, 180, (-180, 180))],
)
def test_longitudes_beyond_180_are_brought_back(
    west: float, east: float, expected: tuple[float, float]
) -> None:
    bounds, _ = wgs84_bounds(rasterio.CRS.from_epsg(4326), [(west, -10), (east, 10)])

    assert bounds is not None
    assert (bounds[0], bounds[2]) == expected


def test_pixel_coordinates_are_not_taken_for_degrees() -> None:
    bounds, reason = wgs84_bounds(rasterio.CRS.from_epsg(4326), [(0, 0), (1000, 2000)])

    assert bounds is None
    assert reason is not None
    assert "not latitudes" in reason


def test_the_bounds_of_a_rotated_raster_hold_all_its_corners(tmp_path: Path) -> None:
    rotated = Affine.translation(500_000, 5_600_000) * Affine.rotation(45) * Affine.scale(100, -100)
    report = readable(inspect(write_raster(tmp_path / "a.tif", transform=rotated)))
    straight = readable(
        inspect(write_raster(tmp_path / "b.tif", transform=Affine(100, 0, 500_000, 0, -100, 5_600_000)))
    )

    assert report.georeferencing == "transform"
    assert report.bounds_wgs84 is not None
    assert straight.bounds_wgs84 is not None
    assert report.bounds_wgs84[3] > straight.bounds_wgs84[3]


def test_ground_control_points_are_not_taken_for_a_transform(tmp_path: Path) -> None:
    from rasterio.control import GroundControlPoint as Gcp

    points = [Gcp(0, 0, 9, 50), Gcp(0, 64, 10, 50), Gcp(48, 0, 9, 49)]
    path = write_raster(tmp_path / "a.tif", crs="EPSG:4326", transform=None, gcps=points)

    report = readable(inspect(path))

    assert report.georeferencing == "gcps"
    assert report.bounds_wgs84 is None
    assert report.bounds_wgs84_reason


def test_masks_alpha_and_colour_maps_are_named(tmp_path: Path) -> None:
    rgba = write_raster(
        tmp_path / "rgba.tif",
        numpy.full((4, 8, 8), 255, "uint8"),
        photometric="RGB",
        alpha="YES",
        nodata=0,
    )
    palette = write_raster(tmp_path / "palette.tif", numpy.zeros((1, 8, 8), "uint8"), photometric="palette")
    with rasterio.open(palette, "r+") as dataset:
        dataset.write_colormap(1, {0: (1, 2, 3, 255)})
    masked = tmp_path / "masked.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_raster(masked, numpy.zeros((1, 8, 8), "uint8"))
        with rasterio.open(masked, "r+") as dataset:
            dataset.write_mask(True)

    assert [band.color_interpretation for band in readable(inspect(rgba)).bands] == [
        ColorInterp.red.name,
        "green",
        "blue",
        "alpha",
    ]
    assert readable(inspect(palette)).color_map
    assert readable(inspect(masked)).bands[0].mask_flags == ["per_dataset"]


def test_a_cog_is_told_from_a_plain_geotiff_with_the_reasons(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(0, 255, (1, 1024, 1024), "uint8")
    plain = write_raster(tmp_path / "plain.tif", data)
    cog = write_raster(tmp_path / "cog.tif", data, driver="COG", compress="deflate")

    good, bad = readable(inspect(cog)), readable(inspect(plain))

    assert good.cog is not None
    assert (good.cog.valid, good.cog.strict_valid, good.cog.errors, good.cog.warnings) == (True, True, [], [])
    assert good.overviews == [2]
    assert good.tiled
    assert bad.cog is not None
    assert (bad.cog.valid, bad.cog.strict_valid) == (False, False)
    assert any("not tiled" in error for error in bad.cog.errors)


def test_a_cog_without_overviews_is_valid_but_not_strictly(tmp_path: Path) -> None:
    """https://cogeotiff.github.io/rio-cogeo/CLI/#validate"""
    data = numpy.random.default_rng(1).integers(0, 255, (1, 1024, 1024), "uint8")
    path = write_raster(tmp_path / "a.tif", data, tiled=True, blockxsize=256, blockysize=256)

    cog = readable(inspect(path)).cog

    assert cog is not None
    assert (cog.valid, cog.strict_valid, cog.errors) == (True, False, [])
    assert any("overviews" in warning for warning in cog.warnings)
    assert cog.valid is cog_validate(path, quiet=True)[0]
    assert cog.strict_valid is cog_validate(path, strict=True, quiet=True)[0]


def test_other_formats_are_read_and_are_no_cogs(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.png", numpy.zeros((3, 8, 8), "uint8"), driver="PNG", crs=None)

    report = readable(inspect(path))

    assert (report.driver, report.cog) == ("PNG", None)


def test_a_raster_is_found_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif").rename(tmp_path / "scene_without_extension")

    assert readable(inspect(path)).driver == "GTiff"


@pytest.mark.parametrize(
    ("name", "content", "status", "reason"),
    [
        ("a.tif", b"", "empty", "zero bytes"),
        ("a.geojson", b'\n{"type": "FeatureCollection"}', "not_raster", "JSON"),
        ("a.tif", b'{"type": "FeatureCollection"}', "not_raster", "JSON"),
        ("a.tif", b"<html><body>404</body></html>", "not_raster", "XML or HTML"),
        ("a.zip", b"PK\x03\x04....", "not_raster", "ZIP"),
        ("a.gpkg", b"SQLite format 3\x00", "not_raster", "SQLite"),
        ("a.csv", b"x,y\n1,2\n", "not_raster", "text"),
        ("a", b"\x00\x01\x02", "not_raster", "unknown format"),
        ("a.vrt", b'<VRTDataset rasterXSize="1">', "refused", "VRT"),
        ("a.tif", b'<VRTDataset rasterXSize="1">', "refused", "VRT"),
        (
            "a.tif",
            b"II*\x00\x08\x00\x00\x00",
            "truncated",
            "its directory is at byte 8, but the file has 8 bytes",
        ),
        ("a.png", b"\x89PNG\r\n\x1a\n", "broken", "GDAL cannot read it"),
    ],
)
def test_what_is_no_raster_is_said_with_the_reason(
    tmp_path: Path, name: str, content: bytes, status: str, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    report = unreadable(inspect(path))

    assert report.status == status
    assert reason in report.reason
    assert str(tmp_path) not in report.reason


@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 128, "blockysize": 128}])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.98])
def test_a_geotiff_that_is_cut_off_is_truncated(
    tmp_path: Path, layout: dict[str, object], kept: float
) -> None:
    data = numpy.random.default_rng(1).integers(0, 255, (1, 600, 600), "uint8")
    path = write_raster(tmp_path / "a.tif", data, **layout)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])

    report = unreadable(inspect(path))

    assert report.status == "truncated"
    assert (report.width, report.height) == (600, 600)


def test_a_table_of_blocks_that_is_cut_off_is_not_taken_for_a_sparse_raster(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", numpy.ones((1, 6000, 40), "uint8"), blockysize=1, compress="deflate"
    )
    path.write_bytes(path.read_bytes()[:2000])

    assert unreadable(inspect(path)).status in ("truncated", "broken")


def test_a_sparse_raster_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    options = {"tiled": True, "blockxsize": 256, "blockysize": 256, "SPARSE_OK": True}
    with rasterio.open(
        path, "w", driver="GTiff", width=20_000, height=20_000, count=1, dtype="uint8", **options
    ):
        pass

    assert readable(inspect(path)).width == 20_000


def test_a_decompression_bomb_is_refused_with_what_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=66_000,
        height=66_000,
        count=1,
        dtype="int32",
        blockysize=66_000,
        SPARSE_OK=True,
    ):
        pass

    report = unreadable(inspect(path))

    assert report.status == "refused"
    assert "decompression bomb" in report.reason
    assert (report.width, report.height, report.band_count) == (66_000, 66_000, 1)


def test_a_raster_that_names_another_file_as_its_overviews_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/vsicurl/http://127.0.0.1:9/a.tif")

    report = unreadable(inspect(path))

    assert report.status == "refused"
    assert "references to other files" in report.reason


def test_a_blob_in_the_archive_tier_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"unread")

    assert unreadable(inspect(path, tier="Archive")).status == "archived"


def test_only_so_many_bands_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster_metadata, "MAX_BANDS", 3)
    report = readable(inspect(write_raster(tmp_path / "a.tif", numpy.zeros((5, 4, 4), "uint8"))))

    assert report.band_count == 5
    assert len(report.bands) == 3
    assert any("first 3 of 5 bands" in warning for warning in report.warnings)
