"""Jobs about rasters: what they may be asked, how they fan out, what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from controllers.raster_to_cog import (
    RasterToCog,
    RasterToCogParameters,
    ReprojectRaster,
    ReprojectRasterParameters,
)
from controllers.validate_raster import ValidateRaster, ValidateRasterParameters
from interfaces.contracts import JsonObject, TaskOutcome
from interfaces.plans import Tasks, TasksFromItems
from interfaces.states import TaskStatus

from .outcomes import stage_result

Outcomes = dict[int, list[TaskOutcome]]


def parse(**parameters: Any) -> RasterToCogParameters:
    given = {"container": "bronze", "prefix": "", "target_container": "silver"} | parameters
    return RasterToCogParameters.model_validate_json(
        json.dumps({name: value for name, value in given.items() if value is not None})
    )


def completed(index: int, **result: Any) -> TaskOutcome:
    return TaskOutcome(task_index=index, status=TaskStatus.COMPLETED, result=result)


def failed(index: int, error: str) -> TaskOutcome:
    return TaskOutcome(task_index=index, status=TaskStatus.FAILED, error=error)


@pytest.mark.parametrize(
    ("parameters", "field", "reason"),
    [
        ({"prefix": None}, "", "exactly one of blob, blobs and prefix"),
        ({"blob": "a.tif"}, "", "exactly one of blob, blobs and prefix"),
        ({"prefix": None, "blob": "../a.tif"}, "blob", "none that is . or .."),
        ({"prefix": None, "blob": "a.tif", "limit": 3}, "", "go with prefix"),
        ({"prefix": None, "blobs": []}, "blobs", "at least 1"),
        ({"target_container": "Silver"}, "target_container", "lower-case"),
        ({"path_template": "{stem}.png"}, "path_template", "must end in .tif"),
        ({"path_template": "{nothing}.tif"}, "path_template", "unknown field {nothing}"),
        ({"path_template": "../{stem}.tif"}, "path_template", "none that is . or .."),
        ({"path_template": "{stem.tif"}, "path_template", "brace"),
        ({"target_crs": "EPSG:5773"}, "target_crs", "vertical CRS, which has no x and y"),
        ({"target_crs": "EPSG:99999"}, "target_crs", "no CRS that PROJ knows"),
        ({"assume_crs": "Wonderland"}, "assume_crs", "no CRS that PROJ knows"),
        ({"resolution": 0}, "resolution.0", "greater than 0"),
        ({"resolution": [10, -10]}, "resolution.1", "greater than 0"),
        ({"web_optimized": True, "target_crs": "EPSG:4326"}, "web_optimized", "leave target_crs out"),
        ({"web_optimized": True, "resolution": 10}, "web_optimized", "leave resolution out"),
        ({"profile": {"compression": "rar"}}, "profile.compression", "'auto', 'deflate'"),
        ({"profile": {"compression": "deflate", "level": 15}}, "profile.level", "at most 9"),
        ({"profile": {"compression": "lzw", "level": 5}}, "profile.level", "level goes with"),
        ({"profile": {"quality": 80}}, "profile.quality", "quality goes with jpeg and webp"),
        ({"profile": {"block_size": 500}}, "profile.block_size", "multiple of 16"),
        ({"profile": {"compression": "jpeg"}, "data_type": "uint16"}, "data_type", "stores uint8 only"),
        ({"bands": [0]}, "bands.0", "greater than or equal to 1"),
        ({"nodata": "none"}, "nodata", "keep"),
        ({"scaling": {"from_range": [5, 5], "to_range": [0, 255]}}, "scaling.from_range", "below the second"),
        ({"max_failed_fraction": 1.5}, "max_failed_fraction", "less than or equal to 1"),
        ({"datetime": 20240101}, "datetime", "ISO 8601"),
        ({"placement": "somehow"}, "placement", "'rectify', 'keep' or 'refuse'"),
        ({"placement": "keep", "target_crs": "EPSG:3857"}, "placement", "leaves pixels where they are"),
        ({"placement": "keep", "resolution": 10}, "placement", "leaves pixels where they are"),
        ({"target_crs": "EPSG:4978"}, "target_crs", "geocentric CRS"),
        ({"target_crs": "EPSG:32632+5773"}, "target_crs", "compound CRS, and heights are not converted"),
        ({"assume_crs": "EPSG:5773"}, "assume_crs", "vertical CRS, which has no x and y"),
        ({"profile": {"max_z_error": 0.1}}, "profile.max_z_error", "max_z_error goes with lerc"),
        (
            {"profile": {"compression": "webp", "predictor": "horizontal"}},
            "profile.predictor",
            "predictor goes with deflate, zstd and lzw",
        ),
        ({"scaling": {"from_range": [0, 5], "to_range": [1, 1]}}, "scaling.to_range", "must differ"),
        ({"nodata": 300, "data_type": "uint8"}, "data_type", "uint8 has no value 300"),
        ({"nodata": -0.5, "data_type": "int16"}, "data_type", "int16 has no value -0.5"),
        ({"nodata": 1e39, "data_type": "float32"}, "data_type", "float32 has no value"),
        ({"nodata": 0, "profile": {"compression": "jpeg"}}, "nodata", "jpeg is lossy"),
        ({"bands": [1, 2], "profile": {"compression": "webp"}}, "bands", "webp stores 3 bands"),
        (
            {"profile": {"compression": "zstd", "predictor": "floating_point"}, "data_type": "int8"},
            "data_type",
            "floating_point is for floats, not for int8",
        ),
        ({"colour": "red"}, "colour", "Extra inputs"),
    ],
)
def test_bad_parameters_are_refused_by_the_name_of_the_field(
    parameters: JsonObject, field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        parse(**parameters)
    errors = [(".".join(map(str, error["loc"])), error["msg"]) for error in refused.value.errors()]
    named = [message for path, message in errors if path == field or (field and path.startswith(field + "."))]
    assert any(reason in message for message in named), errors


@pytest.mark.parametrize(
    "asked",
    [
        {"nodata": 255, "data_type": "uint8"},
        {"nodata": -128, "data_type": "int8"},
        {"nodata": -3.4028235e38, "data_type": "float32"},
        {"nodata": 1e300, "data_type": "float64"},
        {"nodata": 0, "profile": {"compression": "webp", "quality": 100}},
        {"nodata": "mask", "profile": {"compression": "jpeg", "quality": 80}, "bands": [1, 2, 3, 4]},
        {"profile": {"compression": "deflate", "level": 9, "predictor": "none"}},
        {"web_optimized": True, "target_crs": "epsg:3857"},
        {"assume_crs": "EPSG:32632+5773", "placement": "keep"},
    ],
)
def test_what_fits_together_is_taken(asked: JsonObject) -> None:
    assert parse(**asked).model_dump(mode="json").items() >= {"container": "bronze"}.items()


def test_spellings_of_one_request_make_one_job() -> None:
    one = parse(target_crs="epsg:3857", resolution=10, datetime="2024-01-01")
    other = parse(
        target_crs="EPSG:3857",
        resolution=[10.0, 10.0],
        datetime="2024-01-01T01:00:00+01:00",
        overwrite="if_changed",
    )
    assert one.model_dump_json() == other.model_dump_json()


def test_a_warp_that_names_no_grid_is_refused() -> None:
    asked: JsonObject = {"container": "bronze", "prefix": "", "target_container": "silver"}
    with pytest.raises(ValidationError, match="give target_crs, resolution or web_optimized"):
        ReprojectRasterParameters.model_validate_json(json.dumps(asked))
    for wanted in ({"target_crs": "EPSG:3857"}, {"resolution": 10}, {"web_optimized": True}):
        ReprojectRasterParameters.model_validate_json(json.dumps({**asked, **wanted}))
    assert ReprojectRaster().stages == RasterToCog().stages


def test_each_stage_takes_what_the_one_before_found_and_tiles_of_a_raster_meet() -> None:
    job, parameters = RasterToCog(), parse(prefix="2026/", limit=5, max_failed_fraction=0.1)

    first = job.plan(1, parameters, None)
    assert isinstance(first, Tasks)
    (listed,) = first.parameters
    assert (listed["container"], listed["prefix"], listed["limit"]) == ("bronze", "2026/", 5)

    for stage in range(2, 7):
        plan = job.plan(stage, parameters, stage_result(stage - 1, 1))
        assert isinstance(plan, TasksFromItems)
        assert plan.max_failed_fraction == 0.1
        assert plan.group_by == ("target" if stage == 4 else None)
    inspect = job.plan(2, parameters, stage_result(1, 1))
    assert isinstance(inspect, TasksFromItems)
    assert set(inspect.common) == {"container", "options", "target"}


@pytest.mark.parametrize(("given", "collection"), [({}, "silver"), ({"collection_id": "scenes"}, "scenes")])
def test_items_meet_in_batches_for_a_catalog_that_need_not_be_there_and_fails_no_job(
    given: JsonObject, collection: str
) -> None:
    items, batches = (RasterToCog().plan(stage, parse(**given), stage_result(5, 1)) for stage in (6, 7))
    assert isinstance(items, TasksFromItems)
    assert items.common == {"collection_id": collection}
    assert isinstance(batches, TasksFromItems)
    assert (batches.group_by, batches.max_failed_fraction) == ("batch", None)
    assert (batches.common["optional"], batches.common["exclusive"]) == (True, True)


def test_conversions_that_take_long_travel_alone() -> None:
    slow = stage_result(2, 2).model_copy(
        update={"first_task_results": [completed(0, seconds=0.1), completed(1, seconds=90.0)]}
    )
    plan = RasterToCog().plan(3, parse(), slow)
    assert isinstance(plan, TasksFromItems)
    assert plan.expected_seconds == 90


def test_the_result_says_what_became_of_every_raster() -> None:
    outcomes: Outcomes = {
        2: [
            completed(0, status="planned"),
            completed(1, status="unchanged"),
            failed(2, "not a raster"),
        ],
        3: [completed(0)],
        4: [completed(0)],
        5: [completed(0, name="a.tif", url="https://x/a.tif", size=7, pixels_equal=True)],
        6: [failed(0, "storage refuses")],
        7: [completed(0, status="loaded", loaded=3, rejects=[{"id": "a", "reason": "another's"}])],
    }
    stages = [stage_result(number, len(outcomes.get(number, []))) for number in range(1, 8)]
    keys = [stage.key for stage in RasterToCog().stages]
    stages = [stage.model_copy(update={"stage_key": key}) for stage, key in zip(stages, keys, strict=True)]

    result = RasterToCog().aggregate(parse(), stages, lambda stage: iter(outcomes.get(stage, [])))

    assert (result["cogs"], result["unchanged"], result["bytes"], result["pixels_equal"]) == (1, 1, 7, 1)
    assert (result["registered"], result["catalog"]) == (3, "loaded")
    assert result["not_registered"] == [{"id": "a", "reason": "another's"}]
    assert result["failed"] == 2
    assert result["failures"] == [
        {"stage": "inspect", "task_index": 2, "reason": "not a raster"},
        {"stage": "catalog", "task_index": 0, "reason": "storage refuses"},
    ]


def test_a_validation_counts_verdicts_and_names_what_is_not_valid() -> None:
    asked: JsonObject = {"container": "bronze", "prefix": ""}
    parameters = ValidateRasterParameters.model_validate_json(json.dumps(asked))
    outcomes = [
        completed(0, name="a.tif", verdict="valid", cog=True),
        completed(1, name="b.tif", verdict="invalid", reasons=["the file has zero bytes"]),
        failed(2, "storage refuses"),
    ]
    result = ValidateRaster().aggregate(parameters, [stage_result(2, 3)], lambda _: iter(outcomes))
    assert result["verdicts"] == {"valid": 1, "invalid": 1, "not_checked": 1}
    assert result["cogs"] == 1
    assert result["not_valid"] == [
        {"name": "b.tif", "verdict": "invalid", "reasons": ["the file has zero bytes"]},
        {"name": None, "verdict": "not_checked", "reasons": "storage refuses"},
    ]
