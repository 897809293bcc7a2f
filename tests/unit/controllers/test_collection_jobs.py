"""Jobs about collections: what they may be asked, how they fan out, what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from controllers.stac_collection import StacCollection, StacCollectionParameters
from controllers.stac_export import RANGE, StacExport, StacExportParameters
from controllers.stac_validate import MAX_REJECTS, StacValidate, StacValidateParameters
from interfaces.contracts import JobParameters, JsonObject
from interfaces.plans import Tasks, TasksFromItems

from .outcomes import stage_result, task_results

EXPORT: JsonObject = {"collections": ["scenes"], "format": "static", "target_container": "gold"}


def parse(model: type[JobParameters], **parameters: Any) -> Any:
    return model.model_validate_json(json.dumps(parameters))


@pytest.mark.parametrize(
    ("parameters", "field", "reason"),
    [
        ({"collections": []}, "collections", "at least 1"),
        ({"collections": [""]}, "collections.0", "at least 1"),
        ({"format": "csv"}, "format", "'geoparquet' or 'static'"),
        ({"target_container": "Gold"}, "target_container", "lower-case"),
        ({"target_prefix": "../up"}, "target_prefix", "none that is . or .."),
        ({"target_prefix": "/a"}, "target_prefix", "no empty part"),
        ({"target_prefix": "a" * 501}, "target_prefix", "at most 500"),
        ({"bbox": [1, 2, 3]}, "bbox", "at least 4"),
        ({"bbox": [1, 20, 3, 10]}, "bbox", "south is not the larger"),
        ({"bbox": [-190, 0, 3, 10]}, "bbox", "-180 to 180"),
        ({"datetime": "yesterday"}, "datetime", "no time"),
        ({"datetime": "2024-01-01T00:00:00"}, "datetime", "no time zone"),
        ({"datetime": "2024-02-01/2024-01-01"}, "datetime", "ends before it starts"),
        ({"datetime": "../.."}, "datetime", "open at both ends"),
        ({"datetime": "2024-01-01/2024-02-01/2024-03-01"}, "datetime", "two with a slash"),
        ({"catalog": "x"}, "catalog", "Extra inputs"),
    ],
)
def test_bad_parameters_are_refused_by_the_name_of_the_field(
    parameters: JsonObject, field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        parse(StacExportParameters, **(EXPORT | parameters))
    errors = [(".".join(map(str, error["loc"])), error["msg"]) for error in refused.value.errors()]
    assert any(path == field and reason in message for path, message in errors), errors


def test_spellings_of_one_request_make_one_job() -> None:
    one = parse(
        StacExportParameters,
        **(EXPORT | {"collections": ["b", "a", "b"], "datetime": "2024-01-01/", "target_prefix": "x/"}),
    )
    other = parse(
        StacExportParameters,
        **(
            EXPORT
            | {"collections": ["a", "b"], "datetime": "2024-01-01T01:00:00+01:00/..", "target_prefix": "x"}
        ),
    )
    assert one.model_dump_json() == other.model_dump_json()


@pytest.mark.parametrize("summaries", ["all", [], [""], ["x" * 201], [f"f{n}" for n in range(101)]])
def test_summaries_are_the_usual_ones_none_or_a_list_of_fields(summaries: Any) -> None:
    with pytest.raises(ValidationError, match="summaries"):
        parse(StacCollectionParameters, collection="scenes", summaries=summaries)


def test_an_export_divides_by_what_its_format_can_take_at_once_and_meets_in_collections() -> None:
    job = StacExport()
    for name, size in RANGE.items():
        first = job.plan(1, parse(StacExportParameters, **(EXPORT | {"format": name})), None)
        assert isinstance(first, Tasks)
        (asked,) = first.parameters
        assert (asked["collections"], asked["size"]) == (["scenes"], size)
    plans = [
        job.plan(stage, parse(StacExportParameters, **EXPORT), stage_result(1, 1)) for stage in (2, 3, 4)
    ]
    groups = [plan.group_by for plan in plans if isinstance(plan, TasksFromItems)]
    assert groups == [None, "collection", "catalog"]


def test_a_collection_is_written_by_one_task_with_the_fields_that_were_summed_up() -> None:
    parameters = parse(StacCollectionParameters, collection="scenes", summaries=["b", "a"], extent=False)
    ranges, write = (StacCollection().plan(stage, parameters, stage_result(1, 1)) for stage in (2, 3))
    assert isinstance(ranges, TasksFromItems)
    assert isinstance(write, TasksFromItems)
    assert ranges.common == {"fields": ["a", "b"]}
    assert write.group_by == "collection"
    assert write.common == {"fields": ["a", "b"], "write_extent": False, "queryables": True}


def test_a_validation_adds_up_its_ranges_and_shows_the_first_rejects() -> None:
    reject: JsonObject = {"id": "a", "schema_url": "s", "path": "p", "reason": "r"}
    part: JsonObject = {
        "items": 80,
        "valid": 20,
        "invalid": 60,
        "rejects": [reject] * 60,
        "unknown_schemas": {"x": 2},
        "assets": {"found": 5, "missing": 1, "elsewhere": 0},
        "missing_assets": [{"id": "a"}],
    }
    parameters = parse(StacValidateParameters, collection="scenes", check_assets=True)
    stages = [stage_result(1, 1), stage_result(2, 2, failed=1)]
    result = StacValidate().aggregate(parameters, stages, task_results(s2=[part, None, part]))
    assert (result["items"], result["valid"], result["invalid"], result["ranges_failed"]) == (160, 40, 120, 1)
    assert result["rejects"] == [reject] * MAX_REJECTS
    assert result["unknown_schemas"] == {"x": 4}
    assert result["assets"] == {"found": 10, "missing": 2, "elsewhere": 0}
    assert result["missing_assets"] == [{"id": "a"}] * 2
