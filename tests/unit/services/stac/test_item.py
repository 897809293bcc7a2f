"""Items of rasters, on small files written here, each valid against the schemas."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from interfaces.conversions import SourceBlob
from services.raster_report import BandStatistics
from services.stac.acquisition import Acquisition
from services.stac.footprint import raster_footprint
from services.stac.item import COG_TYPE, PNG_TYPE, CollectionLink, File, ItemLink, build_item, safe_id
from services.stac.lineage import Lineage, software_versions
from services.stac.validation import ItemValidator
from tests.unit.services.rasters import write_raster

TIME = Acquisition(datetime(2015, 7, 10, 10, 11, 12, tzinfo=UTC), "metadata", "a tag")
VALIDATOR = ItemValidator()


def item_of(path: Path, item_id: str = "a", **options: Any) -> dict[str, Any]:
    """The item, which has to be valid and JSON."""
    with rasterio.open(path) as dataset:
        options = {"data": File("a.tif"), "time": TIME, "footprint": raster_footprint(dataset), **options}
        item = build_item(dataset, item_id, **options)
    assert json.loads(json.dumps(item, allow_nan=False)) == item
    validation = VALIDATOR.validate(item)
    assert (validation.errors, validation.unknown) == ((), ())
    return item


def test_an_item_says_what_and_where_a_raster_is(tmp_path: Path) -> None:
    item = item_of(write_raster(tmp_path / "a.tif", nodata=7))

    assert (item["type"], item["stac_version"], item["id"]) == ("Feature", "1.1.0", "a")
    assert item["geometry"]["type"] == "Polygon"
    assert item["bbox"] == pytest.approx([9.0, 50.547, 9.009, 50.551], abs=1e-3)
    properties = item["properties"]
    assert properties["datetime"] == "2015-07-10T10:11:12Z"
    assert properties["proj:code"] == "EPSG:32632"
    assert properties["proj:shape"] == [48, 64]
    assert properties["proj:transform"] == [10, 0, 500_000, 0, -10, 5_600_000]
    assert properties["proj:bbox"] == [500_000, 5_599_520, 500_640, 5_600_000]
    assert item["assets"]["data"]["href"] == "a.tif"
    assert item["assets"]["data"]["type"] == COG_TYPE
    assert item["assets"]["data"]["roles"] == ["data"]
    assert item["assets"]["data"]["raster:spatial_resolution"] == 10
    assert item["assets"]["data"]["raster:sampling"] == "area"
    assert item["assets"]["data"]["bands"] == [{"name": "b1", "data_type": "uint16", "nodata": 7}]
    assert "collection" not in item
    assert item["links"] == []


def test_the_versions_of_the_extensions_are_those_of_stac_1_1(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.set_band_description(1, "Red")

    item = item_of(path, data=File("a.tif", size=5), lineage=lineage())

    assert sorted(uri.split("/")[3] + uri.split("/")[4] for uri in item["stac_extensions"]) == [
        "eov2.0.0",
        "filev2.1.0",
        "processingv1.2.0",
        "projectionv2.0.0",
        "rasterv2.0.0",
    ]


def test_bands_are_described(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((3, 4, 4), "int16"), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as dataset:
        for index, text in enumerate(("Red", "Near-Infrared", "height above ground"), 1):
            dataset.set_band_description(index, text)
        dataset.scales, dataset.offsets = (0.1, 1, 2), (5.0, 0, -1)
        dataset.units = ("", "", "m")
    statistics = [
        BandStatistics(minimum=1, maximum=9, mean=4.5, stddev=2.5, valid_percent=50),
        None,
        BandStatistics(minimum="-inf", maximum="inf", mean="nan", stddev="nan", valid_percent=100),
    ]

    item = item_of(path, statistics=statistics)

    assert item["assets"]["data"]["bands"] == [
        {
            "name": "Red",
            "data_type": "int16",
            "eo:common_name": "red",
            "raster:scale": 0.1,
            "raster:offset": 5,
            "statistics": {"minimum": 1, "maximum": 9, "mean": 4.5, "stddev": 2.5, "valid_percent": 50},
        },
        {"name": "Near-Infrared", "data_type": "int16", "eo:common_name": "nir"},
        {
            "name": "height above ground",
            "data_type": "int16",
            "unit": "m",
            "raster:scale": 2,
            "raster:offset": -1,
            "statistics": {"valid_percent": 100},
        },
    ]


def test_names_of_bands_are_different_even_if_their_descriptions_are_not(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((3, 4, 4), "uint8"), photometric="RGB")
    with rasterio.open(path, "r+") as dataset:
        dataset.set_band_description(1, "same")
        dataset.set_band_description(2, "same")

    bands = item_of(path)["assets"]["data"]["bands"]

    assert [(band["name"], band["description"]) for band in bands] == [
        ("b1", "same"),
        ("b2", "same"),
        ("b3", "blue"),
    ]


def test_statistics_that_the_file_has_are_taken_over(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(
            1,
            STATISTICS_MINIMUM="0",
            STATISTICS_MAXIMUM="9",
            STATISTICS_MEAN="4.5",
            STATISTICS_STDDEV="1.5",
        )

    (band,) = item_of(path)["assets"]["data"]["bands"]

    assert band["statistics"] == {"minimum": 0, "maximum": 9, "mean": 4.5, "stddev": 1.5}


@pytest.mark.parametrize(
    ("nodata", "said"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (-9999.5, -9999.5)]
)
def test_nodata_that_is_no_number_of_json_is_text(tmp_path: Path, nodata: float, said: object) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.ones((1, 4, 4), "float32"), nodata=nodata)

    assert item_of(path)["assets"]["data"]["bands"][0]["nodata"] == said


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        ("int8", "int8"),
        ("uint16", "uint16"),
        ("int64", "int64"),
        ("float64", "float64"),
        ("complex64", "cfloat32"),
        ("complex128", "cfloat64"),
        ("complex_int16", "cint16"),
    ],
)
def test_data_types_are_named_as_stac_does(tmp_path: Path, dtype: str, said: str) -> None:
    as_numpy = "complex64" if dtype == "complex_int16" else dtype
    path = write_raster(tmp_path / "a.tif", numpy.ones((1, 4, 4), as_numpy), dtype=dtype)

    assert item_of(path)["assets"]["data"]["bands"][0]["data_type"] == said


def test_a_crs_without_a_code_is_given_in_full(tmp_path: Path) -> None:
    properties = item_of(write_raster(tmp_path / "a.tif", crs="+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84"))[
        "properties"
    ]

    assert properties["proj:code"] is None
    assert properties["proj:wkt2"].startswith("PROJCRS[")
    assert properties["proj:projjson"]["type"] == "ProjectedCRS"


def test_a_code_of_another_authority_is_a_code(tmp_path: Path) -> None:
    properties = item_of(write_raster(tmp_path / "a.tif", crs="ESRI:54009"))["properties"]

    assert properties["proj:code"] == "ESRI:54009"
    assert "proj:wkt2" not in properties


@pytest.mark.parametrize(
    ("crs", "step", "metres"),
    [("EPSG:4326", 0.01, 786.3), ("EPSG:2263", 10, 3.048), ("EPSG:25832", 0.2, 0.2)],
)
def test_the_resolution_is_in_metres(tmp_path: Path, crs: str, step: float, metres: float) -> None:
    # At 60 degrees a degree of longitude is half as long: the side of a square of the same area.
    path = write_raster(
        tmp_path / "a.tif",
        numpy.ones((1, 2, 2), "uint8"),
        crs=crs,
        transform=Affine(step, 0, 9, 0, -step, 60),
    )

    resolution = item_of(path)["assets"]["data"]["raster:spatial_resolution"]

    assert resolution == pytest.approx(metres, rel=1e-3)


def test_the_box_in_the_crs_of_a_rotated_raster_holds_its_corners(tmp_path: Path) -> None:
    transform = Affine(10, 10, 500_000, 10, -10, 5_600_000)
    properties = item_of(write_raster(tmp_path / "a.tif", transform=transform))["properties"]

    assert properties["proj:transform"] == [10, 10, 500_000, 10, -10, 5_600_000]
    assert properties["proj:bbox"] == [500_000, 5_599_520, 501_120, 5_600_640]


def test_a_raster_placed_by_control_points_has_their_crs_and_no_transform(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, column, 9 + column / 100, 50 - row / 100)
        for row in (0, 1)
        for column in (0, 1)
    ]
    item = item_of(write_raster(tmp_path / "a.tif", crs="EPSG:4258", transform=None, gcps=points))

    assert item["properties"]["proj:code"] == "EPSG:4258"
    assert item["properties"]["proj:shape"] == [48, 64]
    assert not {"proj:transform", "proj:bbox"} & set(item["properties"])


@pytest.mark.parametrize("crs", [None, "+proj=eqc +R=3396190 +units=m"])
def test_without_a_place_on_earth_geometry_is_null_without_a_box_and_the_item_says_why(
    tmp_path: Path, crs: str | None
) -> None:
    item = item_of(write_raster(tmp_path / "a.tif", crs=crs))

    assert item["geometry"] is None
    assert "bbox" not in item
    assert "It has no geometry: the " in item["properties"]["description"]
    assert item["properties"]["proj:code"] is None


def test_a_span_has_a_start_and_an_end(tmp_path: Path) -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 31, 23, 59, 59, tzinfo=UTC)
    time = Acquisition(start, "name", "2020-01", start=start, end=end)

    properties = item_of(write_raster(tmp_path / "a.tif"), time=time)["properties"]

    assert properties["datetime"] == properties["start_datetime"] == "2020-01-01T00:00:00Z"
    assert properties["end_datetime"] == "2020-01-31T23:59:59Z"


def test_a_time_that_is_only_that_of_the_file_is_said_to_be_so(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif")
    guessed = item_of(
        path, time=Acquisition(datetime(2026, 1, 1, tzinfo=UTC), "last_modified", "of the blob")
    )

    assert "nothing says when it was acquired" in guessed["properties"]["description"]
    assert "description" not in item_of(path)["properties"]


def lineage(**changes: Any) -> Lineage:
    source = SourceBlob(container="bronze", name="in/a.tif", etag='"0x8D"', size=10)
    known: dict[str, Any] = {
        "job_id": "a" * 64,
        "job_type": "raster_to_cog",
        "sources": (source,),
        "parameters_hash": "b" * 64,
        "processed": datetime(2026, 11, 26, 6, tzinfo=UTC),
        "software": software_versions(),
        "notes": ("overviews by average",),
    }
    return Lineage(**(known | changes))


def test_an_item_names_its_job_its_source_and_the_software(tmp_path: Path) -> None:
    properties = item_of(write_raster(tmp_path / "a.tif"), lineage=lineage())["properties"]

    assert properties["processing:lineage"] == (
        f"Made by job {'a' * 64} (raster_to_cog, parameters sha256:{'b' * 64}) "
        "from bronze/in/a.tif (ETag 0x8D). overviews by average."
    )
    assert properties["processing:software"]["GDAL"] == rasterio.__gdal_version__
    assert properties["processing:software"]["rasterio"] == rasterio.__version__
    assert properties["processing:datetime"] == "2026-11-26T06:00:00Z"
    assert properties["created"] == properties["updated"] == "2026-11-26T06:00:00Z"


def test_of_many_sources_some_are_named_and_all_are_counted() -> None:
    sources = tuple(SourceBlob(container="c", name=f"{n}.tif", etag="e", size=1) for n in range(25))

    text = lineage(sources=sources).text()

    assert "c/9.tif" in text
    assert "c/10.tif" not in text
    assert "and 15 more" in text


def test_files_have_their_size_and_a_multihash(tmp_path: Path) -> None:
    """https://multiformats.io/multihash/: code of the function, length, digest."""
    digest = hashlib.md5(b"cog").hexdigest()
    item = item_of(
        write_raster(tmp_path / "a.tif"),
        data=File("a.tif", size=123, digest=digest.upper()),
        thumbnail=File(
            "a.png", PNG_TYPE, size=45, digest=hashlib.sha256(b"png").hexdigest(), algorithm="sha256"
        ),
    )

    data, thumbnail = item["assets"]["data"], item["assets"]["thumbnail"]
    assert (data["file:size"], data["file:checksum"]) == (123, f"d50110{digest}")
    assert thumbnail["file:checksum"] == "1220" + hashlib.sha256(b"png").hexdigest()
    assert (thumbnail["type"], thumbnail["roles"]) == ("image/png", ["thumbnail"])


def test_a_collection_goes_with_its_link(tmp_path: Path) -> None:
    item = item_of(
        write_raster(tmp_path / "a.tif"),
        collection=CollectionLink("scenes", "../collection.json"),
        links=[ItemLink("derived_from", "https://acme.blob.core.windows.net/bronze/a.tif")],
    )

    assert item["collection"] == "scenes"
    assert [(link["rel"], link["href"]) for link in item["links"]] == [
        ("collection", "../collection.json"),
        ("derived_from", "https://acme.blob.core.windows.net/bronze/a.tif"),
    ]


def test_an_address_with_a_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="href"):
        File("https://acme.blob.core.windows.net/c/a.tif?sv=2025-11-05&sig=abc%3D")
    assert File("https://acme.blob.core.windows.net/c/a.tif?snapshot=1").href.endswith("snapshot=1")


@pytest.mark.parametrize("text", ["S2B_MSIL2A_20190629", "a.b-c~d", "größe"])
def test_a_safe_id_stays_as_it_is(text: str) -> None:
    assert safe_id(text) == text


def test_ids_are_made_safe_and_stay_different() -> None:
    texts = ["a/b", "a:b", "a b", "a-b", "-a-b", "a/b/", "", "/", "x" * 300, "x" * 301, "a\nb", "a%2Fb"]
    ids = [safe_id(text) for text in texts]

    assert len(set(ids)) == len(texts)
    assert not any(set(made) & set("/: \n%?#") for made in ids)
    assert all(0 < len(made) <= 200 for made in ids)
    assert [safe_id(text) for text in texts] == ids
