"""raster_to_cog on a real database and a real blob service, from submission to the item beside the COG."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from interfaces.errors import PermanentTaskError
from repositories.blobs import AzureBlobRepository
from services.cog import conversion

from .conftest import Workshop

MakeRaster = Callable[..., bytes]


def test_a_raster_becomes_a_cog_with_the_same_pixels_its_item_and_its_picture(
    workshop: Workshop, make_raster: MakeRaster, tmp_path: Path
) -> None:
    content = make_raster(count=3, tags={"ACQUISITIONDATETIME": "2024-05-01 10:00:00"})
    workshop.put("scenes/a.tif", content)
    job = workshop.run(blob="scenes/a.tif")

    assert job["status"] == "completed", job["error"]
    assert workshop.names() == ["scenes/a.item.json", "scenes/a.thumbnail.png", "scenes/a.tif"]
    (tmp_path / "cog.tif").write_bytes(workshop.blobs.read(workshop.target, "scenes/a.tif"))
    assert cog_validate(tmp_path / "cog.tif", strict=True, quiet=True)[0]
    with (
        rasterio.MemoryFile(content) as file,
        file.open() as before,
        rasterio.open(tmp_path / "cog.tif") as after,
    ):
        assert numpy.array_equal(before.read(), after.read())
        assert after.crs == before.crs
        assert after.transform == before.transform
        assert after.tags()["LINEAGE_SOURCE"] == f"{workshop.source}/scenes/a.tif"
        assert after.tags()["LINEAGE_JOB"] == job["job_id"]
    item = json.loads(workshop.blobs.read(workshop.target, "scenes/a.item.json"))
    assert item["properties"]["datetime"] == "2024-05-01T10:00:00Z"
    assert item["assets"]["data"]["href"].endswith(f"/{workshop.target}/scenes/a.tif")
    assert job["job_id"] in item["properties"]["processing:lineage"]
    assert job["result"]["cogs"] == job["result"]["pixels_equal"] == 1
    assert workshop.names(workshop.world.settings.scratch_container) == []
    [row] = workshop.world.rows("SELECT * FROM geo.cogs")
    assert (row["container"], row["name"], row["job_id"]) == (workshop.target, "scenes/a.tif", job["job_id"])
    assert workshop.world.violations() == {}


def test_a_valid_cog_passes_byte_for_byte(workshop: Workshop, make_raster: MakeRaster) -> None:
    content = make_raster(size=(1500, 1200), driver="COG", compress="zstd")
    workshop.put("a.tif", content)
    job = workshop.run(blob="a.tif")
    assert job["status"] == "completed", job["error"]
    assert workshop.blobs.read(workshop.target, "a.tif") == content
    assert job["result"]["passed_through"] == 1


def test_asked_again_for_the_same_nothing_is_made_and_for_a_changed_source_it_is(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    workshop.put("a.tif", make_raster())
    first = workshop.run(blob="a.tif")
    etag = workshop.blobs.properties(workshop.target, "a.tif").etag
    again = workshop.world.engine.rerun(first["job_id"], correlation_id="test")
    second = workshop.world.run(again.job_id)
    assert (second["result"]["unchanged"], second["result"]["cogs"]) == (1, 0)
    assert workshop.blobs.properties(workshop.target, "a.tif").etag == etag

    workshop.put("a.tif", make_raster(size=(300, 200)))
    again = workshop.world.engine.rerun(first["job_id"], correlation_id="test")
    third = workshop.world.run(again.job_id)
    assert (third["result"]["unchanged"], third["result"]["cogs"]) == (0, 1)
    with workshop.cog("a.tif") as cog:
        assert (cog.width, cog.height) == (300, 200)


def test_a_cog_whose_job_ended_before_its_item_was_written_gets_it_when_asked_again(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    workshop.put("a.tif", make_raster())
    first = workshop.run(blob="a.tif")
    item = workshop.blobs.read(workshop.target, "a.item.json")
    etag = workshop.blobs.properties(workshop.target, "a.tif").etag
    workshop.blobs.delete(workshop.target, ["a.item.json"])

    again = workshop.world.engine.rerun(first["job_id"], correlation_id="test")
    second = workshop.world.run(again.job_id)

    assert (second["result"]["unchanged"], second["result"]["cogs"]) == (1, 0)
    assert workshop.blobs.read(workshop.target, "a.item.json") == item
    assert workshop.blobs.properties(workshop.target, "a.tif").etag == etag


def test_no_source_of_a_job_is_written_over_by_it(workshop: Workshop, make_raster: MakeRaster) -> None:
    first, second = make_raster(), make_raster(size=(300, 200))
    workshop.put("a.tif", first)
    workshop.put("out/a.tif", second)
    job = workshop.run(
        blobs=["a.tif", "out/a.tif"],
        target_container=workshop.source,
        path_template="out/{stem}.tif",
        overwrite="always",
        max_failed_fraction=1.0,
    )
    assert job["result"]["cogs"] == 0
    told = sorted(failure["reason"] for failure in job["result"]["failures"])
    assert "is another source of this job" in told[0]
    assert "is the source itself" in told[1]
    assert workshop.blobs.read(workshop.source, "out/a.tif") == second


def test_what_cannot_be_converted_is_named_and_the_others_go_on(
    workshop: Workshop, make_raster: MakeRaster
) -> None:
    workshop.put("good.tif", make_raster())
    workshop.put("empty.tif", b"")
    workshop.put("text.tif", b"this is no raster")
    workshop.put("cut.tif", make_raster(tiled=True)[:200_000])
    job = workshop.run(prefix="", max_failed_fraction=0.9)
    assert job["status"] == "completed_with_errors"
    told = sorted(failure["reason"] for failure in job["result"]["failures"])
    assert len(told) == 3
    assert "but the file has 200000 bytes" in told[0]
    assert told[1].endswith("empty.tif: the file has zero bytes")
    assert "text.tif: not a raster: text" in told[2]
    assert [name for name in workshop.names() if name.endswith(".tif")] == ["good.tif"]


def test_a_job_most_of_whose_rasters_fail_fails(workshop: Workshop, make_raster: MakeRaster) -> None:
    workshop.put("good.tif", make_raster())
    for number in range(3):
        workshop.put(f"bad{number}.tif", b"nothing")
    job = workshop.run(prefix="")
    assert job["status"] == "failed"
    assert "not a raster" in job["error"]


def test_two_rasters_with_one_name_are_refused_together(workshop: Workshop, make_raster: MakeRaster) -> None:
    workshop.put("one/a.tif", make_raster())
    workshop.put("two/a.tif", make_raster())
    job = workshop.run(prefix="", path_template="{stem}.tif")
    assert job["status"] == "failed"
    assert "2 rasters would all be written as" in job["error"]
    assert workshop.names() == []


def test_a_large_raster_is_converted_in_tiles_and_put_together(
    workshop: Workshop, make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_raster(size=(2300, 1700), count=2, dtype="uint16", nodata=0)
    workshop.put("large.tif", content)
    fetched: list[int] = []
    read = AzureBlobRepository.read

    def counted(*asked: Any, **named: Any) -> bytes:
        found = read(*asked, **named)
        if asked[2] == "large.tif":
            fetched.append(len(found))
        return found

    with monkeypatch.context() as during:
        during.setattr(AzureBlobRepository, "read", counted)
        job = workshop.run(blob="large.tif", chunk_threshold=1_000_000, profile={"block_size": 256})
    # Each tile reads what it needs.
    assert max(fetched, default=0) < len(content)
    assert job["status"] == "completed", job["error"]
    [inspected] = workshop.results(job, 2)
    assert inspected["tiles"] > 1
    assert len(workshop.results(job, 3)) == inspected["tiles"]
    assert job["result"]["pixels_equal"] == 1
    (tmp_path / "cog.tif").write_bytes(workshop.blobs.read(workshop.target, "large.tif"))
    assert cog_validate(tmp_path / "cog.tif", strict=True, quiet=True)[0]
    with (
        rasterio.MemoryFile(content) as file,
        file.open() as before,
        rasterio.open(tmp_path / "cog.tif") as after,
    ):
        assert numpy.array_equal(before.read(masked=True).filled(0), after.read(masked=True).filled(0))
    assert workshop.names(workshop.world.settings.scratch_container) == []


def test_a_retry_for_the_sake_of_others_keeps_what_was_put_together_of_tiles(
    workshop: Workshop, make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PermanentTaskError("not today")

    workshop.put("good.tif", make_raster(size=(1100, 600)))
    workshop.put("late.tif", make_raster(size=(200, 100)))
    with monkeypatch.context() as today:
        today.setattr(conversion, "convert", fail)
        job = workshop.run(
            prefix="", chunk_threshold=300_000, profile={"block_size": 256}, max_failed_fraction=0.6
        )
    assert job["status"] == "completed_with_errors"
    assert (job["result"]["cogs"], job["result"]["failed"]) == (1, 1)
    etag = workshop.blobs.properties(workshop.target, "good.tif").etag

    workshop.world.engine.retry(job["job_id"], correlation_id="test")
    again = workshop.world.run(job["job_id"])

    assert again["status"] == "completed", again["error"]
    assert (again["result"]["cogs"], again["result"]["failed"]) == (2, 0)
    assert workshop.blobs.properties(workshop.target, "good.tif").etag == etag
    [published] = [row for row in workshop.results(again, 5) if row["name"] == "good.tif"]
    assert (published["etag"], published["compression"]) == (etag, "DEFLATE")
    assert published["thumbnail_url"].endswith("good.thumbnail.png")
    assert workshop.names(workshop.world.settings.scratch_container) == []


def test_what_gdal_remarks_is_told_with_the_task_and_not_in_the_log(
    workshop: Workshop, make_raster: MakeRaster, caplog: pytest.LogCaptureFixture
) -> None:
    # A known code with another ellipsoid.
    crs = (
        'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378100,298]],PRIMEM["Greenwich",0],'
        'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
    )
    place = rasterio.Affine(0.1, 0, 5, 0, -0.1, 50)
    workshop.put("folder/a.tif", make_raster(size=(300, 200), crs=crs, transform=place))
    job = workshop.run(blob="folder/a.tif")
    assert job["status"] == "completed", job["error"]
    for stage in (2, 3):
        [result] = workshop.results(job, stage)
        [remark] = [note for note in result["notes"] if note.startswith("GDAL remarks")]
        assert "not the same as the one from the EPSG registry" in remark
        assert workshop.source not in remark
    assert "EPSG registry" not in caplog.text


def test_a_raster_is_warped_onto_the_grid_of_web_maps(
    workshop: Workshop, make_raster: MakeRaster, tmp_path: Path
) -> None:
    workshop.put("a.tif", make_raster(dtype="float32", nodata=-1))
    job = workshop.run("reproject_raster", blob="a.tif", web_optimized=True)
    assert job["status"] == "completed", job["error"]
    with workshop.cog("a.tif") as cog:
        assert cog.crs.to_epsg() == 3857
        assert cog.nodata == -1
        # The origin of the tile grid is a whole number of pixels away.
        columns = (cog.transform.c + 20037508.342789244) / cog.transform.a
        assert abs(columns - round(columns)) < 1e-6


@pytest.fixture
def table() -> Any:
    """A file to write the corpus's table into, where the environment names one."""
    return os.environ.get("COG_JOB_TABLE")


def test_every_raster_of_the_corpus_is_a_valid_cog_or_has_a_reason(
    workshop: Workshop, corpus: Path, tmp_path: Path, table: str | None
) -> None:
    files = [path for kind in ("raster", "bad") for path in (corpus / kind).rglob("*") if path.is_file()]
    for path in files:
        workshop.put(str(path.relative_to(corpus)), path.read_bytes())
    job = workshop.run(
        prefix="",
        filter={"glob": "**"},
        max_failed_fraction=1.0,
        path_template="{folder}/{name}.cog.tif",
        seconds=600,
    )
    assert job["status"] == "completed_with_errors"
    published = {row["source"]: row for row in workshop.results(job, 5) if "error" not in row}
    failed: dict[str, str] = {}
    for stage in range(2, 7):
        for task in workshop.world.tasks(job["job_id"], stage):
            if task["error"]:
                source = task["parameters"].get("name") or json.dumps(task["parameters"])
                failed[source] = task["error"]
    for source, row in published.items():
        (tmp_path / "cog.tif").write_bytes(workshop.blobs.read(workshop.target, row["name"]))
        valid, errors, warnings = cog_validate(tmp_path / "cog.tif", strict=True, quiet=True)
        assert valid, (source, errors, warnings)
    if table:
        with Path(table).open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["source", "result", "reason or notes"])
            rows.writerows([name, "cog", "; ".join(row["notes"])] for name, row in sorted(published.items()))
            rows.writerows([name, "failed", reason] for name, reason in sorted(failed.items()))
    assert len(published) >= 60
    assert set(published) | set(failed) == {str(path.relative_to(corpus)) for path in files}
    assert workshop.names(workshop.world.settings.scratch_container) == []
    assert workshop.world.violations() == {}
