"""Every raster of the corpus has a valid item and a picture, and the difficult ones the right place."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import shapely
from pyproj import Geod
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from shapely.geometry import shape

from services.raster_footprint import why_not_on_earth
from services.stac import valid_area
from services.stac.acquisition import acquisition
from services.stac.footprint import Footprint, raster_footprint
from services.stac.item import PNG_TYPE, CollectionLink, File, build_item
from services.stac.thumbnail import thumbnail
from services.stac.validation import ItemValidator

UPLOADED = datetime(2026, 11, 26, tzinfo=UTC)
SIDECARS = {".xml", ".msk", ".ovr"}
HAVE_NO_PLACE = {
    *("389225main_sw_1965_1024.jpg", "BigTIFFMotorola.tif", "dataset.h5", "dataset_2d.nc", "float_nan.tif"),
    *("ndvi_256x256_gray32f_striped.tif", "rotated.tif", "test_with_mask_1bit.tif", "cog_hirise_mars.tif"),
}
UNREADABLE = {"unsupported-srs.tif"}
GLOBE = Geod(ellps="WGS84")


def square_kilometres(found: Footprint) -> float:
    assert found.geometry is not None
    parts = shapely.get_parts(shape(found.geometry))
    # Dense, since the edges of GeoJSON are straight in degrees and not geodesics.
    dense = [shapely.segmentize(part, 0.2) for part in parts]
    return sum(abs(GLOBE.geometry_area_perimeter(part)[0]) for part in dense) / 1e6


def footprint_of(corpus: Path, name: str) -> Footprint:
    with rasterio.open(corpus / "raster" / name) as dataset:
        return raster_footprint(dataset)


def test_every_raster_has_a_valid_item_and_a_picture_that_opens(corpus: Path) -> None:
    validator = ItemValidator()
    without_place, unreadable, seen = set(), set(), 0
    for path in sorted(p for p in (corpus / "raster").rglob("*") if p.is_file()):
        if path.suffix in SIDECARS:
            continue
        try:
            with rasterio.open(path) as dataset:
                found = raster_footprint(dataset)
                item, png = described(dataset, path, found)
        except (RasterioError, CPLE_BaseError):
            unreadable.add(path.name)
            continue
        seen += 1
        validation = validator.validate(item)
        assert (path.name, validation.errors, validation.unknown) == (path.name, (), ())
        assert json.loads(json.dumps(item, allow_nan=False)) == item
        if found.geometry is None:
            without_place.add(path.name)
            assert found.reason
        else:
            assert shape(found.geometry).is_valid
        if png is not None:
            assert_opens(png)
    assert seen > 55
    assert without_place == HAVE_NO_PLACE
    assert unreadable == UNREADABLE


def described(dataset: Any, path: Path, found: Footprint) -> tuple[dict[str, Any], bytes | None]:
    png = thumbnail(dataset) if dataset.count else None
    item = build_item(
        dataset,
        str(path.relative_to(path.parents[1])),
        data=File(path.name, size=path.stat().st_size),
        time=acquisition(
            path.name, dataset.tags(), UPLOADED, bands=[dataset.tags(band) for band in dataset.indexes]
        ),
        footprint=found,
        thumbnail=File("a.png", PNG_TYPE, size=len(png)) if png else None,
        collection=CollectionLink("corpus", "../collection.json"),
    )
    return item, png


def assert_opens(png: bytes) -> None:
    with MemoryFile(png) as file, file.open(driver="PNG") as image:
        assert max(image.shape) <= 512
        image.read()


@pytest.mark.parametrize(
    ("name", "pixel_kilometres"),
    [
        ("developmentseed+rio-stac/dataset_dateline.tif", 0.1**2),
        ("developmentseed+rio-stac/B04.tif", 0.2**2),
        ("r-spatial+stars/L7_ETMs.tif", 0.0285**2),
        ("GeoTIFF+test-data/nt_20201024_f18_nrt_s.tif", 25**2),
        ("GeoTIFF+test-data/bremen_sea_ice_conc_2022_9_9.tif", 6.25**2),
        ("stactools-packages+landsat/LC08_L2SP_005009_20150710_20200908_02_T2_SR_B4.TIF", None),
    ],
)
def test_footprints_are_as_large_as_their_data(
    corpus: Path, name: str, pixel_kilometres: float | None
) -> None:
    with rasterio.open(corpus / "raster" / name) as dataset:
        pixel = abs(dataset.transform.determinant) / 1e6
        values = dataset.read(1, masked=True)
        data = numpy.count_nonzero(~numpy.ma.getmaskarray(values) & ~numpy.isnan(values.data))
        scale = distortion(dataset)
    if pixel_kilometres is not None:
        assert pixel == pytest.approx(pixel_kilometres, rel=1e-3)

    found = footprint_of(corpus, name)

    assert square_kilometres(found) == pytest.approx(data * pixel, rel=scale)


def distortion(dataset: Any) -> float:
    """How far areas of the projection may be off: UTM's by 0.2 %, polar stereographic ones by 10 %."""
    return 0.12 if dataset.crs.to_epsg() in (3031, 3412) else 0.02


def test_the_raster_over_the_antimeridian(corpus: Path) -> None:
    found = footprint_of(corpus, "developmentseed+rio-stac/dataset_dateline.tif")

    assert found.bbox == pytest.approx([178, 50.58, -178.51, 52.77], abs=0.01)
    assert found.geometry is not None
    assert found.geometry["type"] == "MultiPolygon"
    assert len(found.geometry["coordinates"]) == 2
    assert found.notes == ()


def test_the_sea_ice_around_the_south_pole_leaves_the_continent_out(corpus: Path) -> None:
    for name in ("nt_20201024_f18_nrt_s.tif", "bremen_sea_ice_conc_2022_9_9.tif"):
        found = footprint_of(corpus, f"GeoTIFF+test-data/{name}")

        assert found.bbox is not None
        assert (found.bbox[0], found.bbox[2]) == (-180, 180)
        assert -79 < found.bbox[1] < -77
        area = shape(found.geometry)
        assert not shapely.contains_xy(area, [0.0, 90.0, -120.0], [-89.0, -80.0, -85.0]).any()
        # Sea ice in the Weddell and the Ross Sea.
        assert shapely.contains_xy(area, [-40.0, -175.0], [-70.0, -70.0]).all()


def test_mars_has_no_place_on_earth(corpus: Path) -> None:
    found = footprint_of(corpus, "cogeotiff+rio-tiler/cog_hirise_mars.tif")

    assert (found.geometry, found.bbox) == (None, None)
    assert "not one of the Earth" in str(found.reason)
    with rasterio.open(corpus / "raster/cogeotiff+rio-tiler/cog_hirise_mars.tif") as dataset:
        assert why_not_on_earth(dataset.crs) == found.reason


def test_the_rotated_raster_is_smaller_than_its_box(corpus: Path) -> None:
    with rasterio.open(corpus / "raster/r-spatial+sf/geomatrix.tif") as dataset:
        metres = abs(dataset.transform.determinant) * dataset.width * dataset.height
        found = raster_footprint(dataset)

    area = shape(found.geometry)
    # The zone's edge is 12 degrees away: its scale is off by 2 %.
    assert square_kilometres(found) * 1e6 == pytest.approx(metres, rel=0.08)
    assert area.area < 0.9 * shapely.box(*area.bounds).area


def test_the_south_up_raster_covers_the_earth_and_says_that_it_has_no_data(corpus: Path) -> None:
    found = footprint_of(corpus, "cogeotiff+rio-tiler/inverted_lat.tif")

    assert found.bbox == pytest.approx([-180, -90, 180, 90], abs=0.01)
    assert any("no pixel has data" in note for note in found.notes)


def test_the_complex_raster_lies_where_its_control_points_are(corpus: Path) -> None:
    with rasterio.open(corpus / "raster/corteva+rioxarray/cint16.tif") as dataset:
        points, _ = dataset.gcps
        found = raster_footprint(dataset)

    xs, ys = [point.x for point in points], [point.y for point in points]
    west, south, east, north = found.bbox or (0, 0, 0, 0)
    # The image is a piece of the scene that the points are of.
    assert min(xs) - 0.1 < west < east < max(xs) + 0.1
    assert min(ys) - 0.1 < south < north < max(ys) + 0.1


def test_a_raster_without_gaps_takes_less_than_ten_milliseconds(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> None:
        raise AssertionError("followed the edges of a mask that has none")

    monkeypatch.setattr(valid_area, "_polygons", refused)
    taken = []
    for _ in range(10):
        with rasterio.open(corpus / "raster/cogeotiff+rio-cogeo/image_no_overview.tif") as dataset:
            assert dataset.shape == (1024, 1024)
            began = time.process_time()
            raster_footprint(dataset)
            taken.append(time.process_time() - began)
    assert min(taken) < 0.010
