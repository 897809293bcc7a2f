"""mosaic_to_cog on a real database and a real blob service, from submission to the item beside the COG."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import transform
from rio_cogeo.cogeo import cog_validate

from services.cog import resources

from .conftest import Workshop

MakeRaster = Callable[..., bytes]
LEFT = from_origin(500_000, 5_600_000, 10, 10)
RIGHT = from_origin(506_000, 5_600_000, 10, 10)
"""300 of 900 columns lie on those of LEFT."""


def plain(value: int, *, bands: int = 1, dtype: str = "uint8") -> Any:
    return numpy.full((bands, 700, 900), value, dtype)


def made(workshop: Workshop, **parameters: Any) -> dict[str, Any]:
    given = {"prefix": "", "target_name": "all.tif"} | parameters
    if "blobs" in given:
        del given["prefix"]
    return workshop.run("mosaic_to_cog", **given)


def put_two(workshop: Workshop, make_raster: MakeRaster, **profile: Any) -> None:
    """a: 1, on the left; b: 2, on the right."""
    workshop.put("a.tif", make_raster(data=plain(1), transform=LEFT, **profile))
    workshop.put("b.tif", make_raster(data=plain(2), transform=RIGHT, **profile))


def test_rasters_of_two_utm_zones_become_one_cog_in_the_zone_of_the_first(
    workshop: Workshop, make_raster: MakeRaster, tmp_path: Path
) -> None:
    one = from_origin(710_000, 5_545_000, 10, 10)
    (x,), (y,) = transform("EPSG:32632", "EPSG:32633", [716_000], [5_544_000])
    two = from_origin(round(x, -1), round(y, -1), 10, 10)
    workshop.put("one.tif", make_raster(data=plain(50), crs="EPSG:32632", transform=one))
    workshop.put("two.tif", make_raster(data=plain(200), crs="EPSG:32633", transform=two))
    job = made(workshop)

    assert job["status"] == "completed", job["error"]
    assert workshop.names() == ["all.item.json", "all.thumbnail.png", "all.tif"]
    (tmp_path / "cog.tif").write_bytes(workshop.blobs.read(workshop.target, "all.tif"))
    assert cog_validate(tmp_path / "cog.tif", strict=True, quiet=True)[0]
    with rasterio.open(tmp_path / "cog.tif") as cog:
        assert cog.crs.to_epsg() == 32632
        assert (cog.transform.a, cog.transform.c, cog.nodata) == (10, 710_000, None)
        values, valid = cog.read(1), cog.read_masks(1)
        kept = values[: cog.index(0, 5_545_000 - 6_990)[0], :500]
        row, column = cog.index(717_500, 5_542_000)
        assert (values[row, column], valid[row, column]) == (200, 255)
        row, column = cog.index(723_000, 5_542_000)
        assert (values[row, column], valid[row, column]) == (200, 255)
        assert set(numpy.unique(kept[kept > 0])) == {50}
        assert (valid == 0).any()
        assert (values[valid == 0] == 0).all()
    [composed] = workshop.results(job, 3)
    assert "1 of 2 rasters keep their pixels, 1 are warped" in composed["notes"]
    assert (job["result"]["cogs"], job["result"]["rasters"]) == (1, 2)
    assert workshop.names(workshop.world.settings.scratch_container) == []
    assert workshop.world.violations() == {}


@pytest.mark.parametrize(
    ("asked", "top"),
    [
        ({"blobs": ["a.tif", "b.tif"]}, 2),
        ({"blobs": ["b.tif", "a.tif"]}, 1),
        ({"blobs": ["b.tif", "a.tif"], "order": "name"}, 2),
        ({"prefix": ""}, 2),
    ],
    ids=str,
)
def test_later_rasters_cover_earlier_ones(
    workshop: Workshop, make_raster: MakeRaster, asked: dict[str, Any], top: int
) -> None:
    put_two(workshop, make_raster)
    job = made(workshop, **asked)
    assert job["status"] == "completed", job["error"]
    with workshop.cog("all.tif") as cog:
        row = cog.read(1)[300]
        assert row.shape == (1500,)
        assert set(row[:600]) == {1}
        assert set(row[600:900]) == {top}
        assert set(row[900:]) == {2}


def test_the_listing_is_kept_in_order_however_many_tasks_inspect_it(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    names = [f"{(7 * at) % 12:02}.tif" for at in range(12)]
    for at, name in enumerate(names):
        data = numpy.full((1, 32, 32), at + 1, "uint8")
        workshop.put(name, make_raster(size=(32, 32), data=data))
    job = made(workshop, blobs=names)
    assert job["status"] == "completed", job["error"]
    [row] = workshop.world.rows("SELECT sources FROM geo.cogs")
    assert [source["name"] for source in row["sources"]] == names
    with workshop.cog("all.tif") as cog:
        assert set(numpy.unique(cog.read())) == {12}


def test_all_sources_and_the_time_from_first_to_last_are_in_the_row_and_the_item(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    for name, day, place in (("b.tif", "03", RIGHT), ("a.tif", "01", LEFT)):
        tags = {"ACQUISITIONDATETIME": f"2024-05-{day} 10:00:00"}
        workshop.put(name, make_raster(data=plain(int(day)), transform=place, tags=tags))
    job = made(workshop, blobs=["b.tif", "a.tif"], order="newest_last")
    assert job["status"] == "completed", job["error"]

    [row] = workshop.world.rows("SELECT * FROM geo.cogs")
    assert [source["name"] for source in row["sources"]] == ["a.tif", "b.tif"]
    item = json.loads(workshop.blobs.read(workshop.target, "all.item.json"))
    properties = item["properties"]
    assert properties["datetime"] == properties["start_datetime"] == "2024-05-01T10:00:00Z"
    assert properties["end_datetime"] == "2024-05-03T10:00:00Z"
    origins = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert origins == [workshop.blobs.url(workshop.source, name) for name in ("a.tif", "b.tif")]
    assert "(mosaic_to_cog, " in properties["processing:lineage"]
    with workshop.cog("all.tif") as cog:
        assert cog.tags()["LINEAGE_SOURCE"] == f"{workshop.source}/a.tif and 1 more"


def test_asked_again_for_the_same_nothing_is_made_and_for_another_part_it_is(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    put_two(workshop, make_raster)
    first = made(workshop)
    again = workshop.world.engine.rerun(first["job_id"], correlation_id="test")
    second = workshop.world.run(again.job_id)
    assert (second["result"]["unchanged"], second["result"]["cogs"]) == (1, 0)

    workshop.put("c.tif", make_raster(data=plain(3), transform=from_origin(515_000, 5_600_000, 10, 10)))
    again = workshop.world.engine.rerun(first["job_id"], correlation_id="test")
    third = workshop.world.run(again.job_id)
    assert (third["result"]["unchanged"], third["result"]["cogs"], third["result"]["rasters"]) == (0, 1, 3)


def test_nodata_that_all_have_is_kept_and_shows_what_lies_under_it(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    above = plain(2)
    above[:, :100] = 9
    workshop.put("a.tif", make_raster(data=plain(1), transform=LEFT, nodata=9))
    workshop.put("b.tif", make_raster(data=above, transform=RIGHT, nodata=9))
    job = made(workshop)
    assert job["status"] == "completed", job["error"]
    with workshop.cog("all.tif") as cog:
        assert cog.nodata == 9
        values = cog.read(1)
        assert set(values[50, :900]) == {1}
        assert set(values[50, 900:]) == {9}
        assert set(values[200, 600:]) == {2}


@pytest.mark.parametrize(
    ("asked", "nodata", "hidden"),
    [({}, None, 0), ({"nodata": 77}, 77, 77), ({"nodata": "mask"}, None, 0)],
    ids=str,
)
def test_nodata_that_differs_becomes_a_mask_or_the_value_that_is_asked_for(
    workshop: Workshop, make_raster: MakeRaster, asked: dict[str, Any], nodata: int | None, hidden: int
) -> None:
    one, two = plain(1), plain(2)
    one[:, :100], two[:, :100] = 9, 8
    workshop.put("a.tif", make_raster(data=one, transform=LEFT, nodata=9))
    workshop.put("b.tif", make_raster(data=two, transform=RIGHT, nodata=8))
    job = made(workshop, **asked)
    assert job["status"] == "completed", job["error"]
    with workshop.cog("all.tif") as cog:
        assert cog.nodata == nodata
        values, valid = cog.read(1), cog.read_masks(1)
        assert (valid[:100] == 0).all()
        assert (valid[100:] == 255).all()
        assert set(values[50]) == {hidden}
        assert set(values[200]) == {1, 2}


def test_bands_types_and_scaling_are_those_that_are_asked_for(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    for name, place, value in (("a.tif", LEFT, 1000), ("b.tif", RIGHT, 5000)):
        data = plain(value, bands=2, dtype="uint16")
        data[1] *= 2
        data[1, :100] = 0
        workshop.put(name, make_raster(data=data, count=2, dtype="uint16", transform=place, nodata=0))
    scaling = {"from_range": [0, 20_000], "to_range": [1, 201]}
    job = made(workshop, bands=[2], data_type="uint8", scaling=scaling)
    assert job["status"] == "completed", job["error"]
    with workshop.cog("all.tif") as cog:
        assert (cog.count, cog.dtypes, cog.nodata) == (1, ("uint8",), 0)
        assert set(cog.read(1)[50]) == {0}
        assert set(cog.read(1)[300]) == {21, 101}


def test_a_part_that_is_missing_fails_the_job_unless_that_is_allowed(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    put_two(workshop, make_raster)
    workshop.put("c.tif", b"this is no raster")
    job = made(workshop)
    assert job["status"] == "failed"
    assert "not a raster: text" in job["error"]
    assert workshop.names() == []
    assert workshop.names(workshop.world.settings.scratch_container) == []

    job = made(workshop, max_failed_fraction=0.5)
    assert job["status"] == "completed_with_errors"
    assert (job["result"]["cogs"], job["result"]["rasters"], job["result"]["failed"]) == (1, 2, 1)
    assert "c.tif: not a raster" in job["result"]["failures"][0]["reason"]


@pytest.mark.parametrize(
    ("second", "asked", "reason"),
    [
        ({"count": 2, "data": plain(2, bands=2)}, {}, "band_count differs: 2 in b.tif, 1 in a.tif"),
        ({"data": plain(2)}, {"target_name": "b.tif"}, None),
        ({"data": plain(2), "crs": None}, {}, "no CRS and assume_crs is not given: b.tif"),
    ],
)
def test_rasters_that_do_not_fit_together_fail_the_job_by_name(
    workshop: Workshop,
    make_raster: MakeRaster,
    second: dict[str, Any],
    asked: dict[str, Any],
    reason: str | None,
) -> None:
    workshop.put("a.tif", make_raster(data=plain(1), transform=LEFT))
    workshop.put("b.tif", make_raster(**{"transform": RIGHT, **second}))
    if reason is None:
        asked, reason = (
            {**asked, "target_container": workshop.source},
            "the target 'b.tif' is the source itself",
        )
    job = made(workshop, **asked)
    assert job["status"] == "failed"
    assert reason in job["error"]


def test_nothing_makes_no_mosaic(workshop: Workshop) -> None:
    job = made(workshop, prefix="nowhere/")
    assert job["status"] == "failed"
    assert "there is no raster to make a mosaic of" in job["error"]


def test_a_large_mosaic_is_converted_in_tiles_by_threads_that_may_read(
    workshop: Workshop, make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = numpy.random.default_rng(4)
    for number, (x, y) in enumerate(((0, 0), (600, 100), (200, 500), (3, 3))):
        place = from_origin(500_000 + 10 * x + 3 * (number == 3), 5_600_000 - 10 * y, 10, 10)
        data = random.integers(1, 200, (1, 700, 900)).astype("uint8")
        # A space and a comma, which GDAL's list of what may be read cannot hold.
        workshop.put(f"part {number},.tif", make_raster(data=data, transform=place, nodata=0))
    whole = made(workshop, target_name="whole.tif")
    assert whole["status"] == "completed", whole["error"]

    monkeypatch.setattr(resources, "LARGE_PIXELS", 0)
    monkeypatch.setattr(resources.Resources, "threads", lambda *_: 3)
    jobs: list[dict[str, Any]] = []
    asked = {"target_name": "tiles.tif", "chunk_threshold": 300_000, "profile": {"block_size": 256}}
    # rasterio's options on the main thread are those of the process: this is none.
    worker = Thread(target=lambda: jobs.append(made(workshop, **asked)))
    worker.start()
    worker.join()
    [job] = jobs
    assert job["status"] == "completed", job["error"]
    [composed] = workshop.results(job, 3)
    assert composed["tiles"] == len(workshop.results(job, 4)) == 9
    named = [task["parameters"]["plan"]["sources"] for task in workshop.world.tasks(job["job_id"], 4)]
    assert len(named[0]) == 4
    assert min(map(len, named)) == 2  # the lowest, and one that reaches there
    (tmp_path / "cog.tif").write_bytes(workshop.blobs.read(workshop.target, "tiles.tif"))
    assert cog_validate(tmp_path / "cog.tif", strict=True, quiet=True)[0]
    with workshop.cog("whole.tif") as one, rasterio.open(tmp_path / "cog.tif") as other:
        assert one.transform == other.transform
        numpy.testing.assert_array_equal(one.read(), other.read())
    assert workshop.names(workshop.world.settings.scratch_container) == []
