"""list_container: its parameters, its two stages, and its result."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from controllers.list_container import ListContainer, ListContainerParameters
from interfaces.contracts import JsonObject
from interfaces.plans import Tasks, TasksFromItems
from interfaces.states import FailurePolicy

from .outcomes import stage_result, task_results


def parse(**parameters: object) -> ListContainerParameters:
    return ListContainerParameters.model_validate_json(json.dumps({"container": "bronze", **parameters}))


def raster(**fields: object) -> JsonObject:
    return {"name": "a/b.tif", "size": 100, "raster": {"bytes_read": 10, **fields}}  # type: ignore[dict-item]


def test_one_task_lists_and_one_task_describes_each_item() -> None:
    parameters = parse(prefix="2026/", filter="*.tif", limit=5, metadata_level="full", statistics=True)

    first = ListContainer().plan(1, parameters, None)
    second = ListContainer().plan(2, parameters, stage_result(1, 1))

    assert isinstance(first, Tasks)
    (task,) = first.parameters
    assert task["limit"] == 5
    assert task["filter"]["glob"] == "*.tif"  # type: ignore[index, call-overload]
    assert isinstance(second, TasksFromItems)
    assert second.common == {"container": "bronze", "metadata_level": "full", "statistics": True}


def test_a_bare_text_is_a_glob_and_makes_the_same_job_as_the_filter_in_full() -> None:
    assert parse(filter="*.tif") == parse(filter={"glob": "*.tif"})


def test_spellings_of_one_filter_make_one_job() -> None:
    one = parse(filter={"extensions": [".TIF", "jp2"], "modified_after": "2026-01-01"})
    other = parse(filter={"extensions": ["jp2", "tif", "tif"], "modified_after": "2026-01-01T01:00:00+01:00"})

    assert one.model_dump_json() == other.model_dump_json()
    assert one.filter.modified_after == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"container": "ab"}, "container"),
        ({"container": "a" * 64}, "container"),
        ({"container": "Bronze"}, "container"),
        ({"container": "a--b"}, "container"),
        ({"container": "-ab"}, "container"),
        ({"container": "bronze\n"}, "container"),
        ({"container": None}, "container"),
        ({"limit": 0}, "limit"),
        ({"limit": "7"}, "limit"),
        ({"metadata_level": "all"}, "metadata_level"),
        ({"statistics": 1}, "statistics"),
        ({"prefix": "x" * 1025}, "prefix"),
        ({"filter": 5}, "filter"),
        ({"filter": ["*.tif"]}, "filter"),
        ({"filter": ""}, "filter.glob"),
        ({"filter": {"min_size": -1}}, "filter.min_size"),
        ({"filter": {"min_size": 5, "max_size": 4}}, "filter"),
        ({"filter": {"extensions": "tif"}}, "filter.extensions"),
        ({"filter": {"extensions": ["."]}}, "filter.extensions"),
        ({"filter": {"modified_after": 1700000000}}, "filter.modified_after"),
        ({"filter": {"modified_after": "1700000000"}}, "filter.modified_after"),
        ({"filter": {"modified_after": "2026-01-01T00:00:00"}}, "filter.modified_after"),
        ({"filter": {"modified_after": "2026-02-01", "modified_before": "2026-01-01"}}, "filter"),
        ({"filter": {"regex": ".*"}}, "filter.regex"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_wrong_parameters_are_refused_by_the_name_of_their_field(
    parameters: dict[str, object], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(**parameters)

    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [field]


def test_a_file_that_cannot_be_described_does_not_fail_the_job() -> None:
    assert ListContainer.stages[0].on_failure is FailurePolicy.FAIL_JOB
    assert ListContainer.stages[1].on_failure is FailurePolicy.CONTINUE


def test_no_match_is_an_empty_result() -> None:
    result = ListContainer().aggregate(parse(), [stage_result(1, 1), stage_result(2, 0)], task_results())

    assert result["files"] == 0
    assert result["bytes"] == 0
    assert result["first_files"] == []


def test_the_result_counts_files_bytes_and_what_became_of_rasters() -> None:
    files: list[JsonObject | None] = [
        raster(readable=True, status="readable", driver="GTiff"),
        raster(readable=True, status="readable", driver="PNG"),
        raster(readable=False, status="truncated", reason="cut"),
        raster(readable=False, status="empty", reason="zero bytes", bytes_read=None),
        {"name": "c.geojson", "size": 7, "raster": {"readable": False, "status": "not_raster"}},
        {"name": "gone.tif", "size": 1, "exists": False, "raster": None},
        None,
    ]

    result = ListContainer().aggregate(
        parse(metadata_level="full"), [stage_result(1, 1), stage_result(2, 6, 1)], task_results(s2=files)
    )

    assert result["files"] == 6
    assert result["bytes"] == 408
    assert result["not_described"] == 1
    assert result["deleted_since_listed"] == 1
    assert result["rasters_readable"] == 2
    assert result["rasters_unreadable"] == 2
    assert result["unreadable_by_status"] == {"empty": 1, "truncated": 1}
    assert result["not_rasters"] == 1
    assert result["bytes_read"] == 30
    assert result["by_driver"] == {"GTiff": {"files": 1, "bytes": 100}, "PNG": {"files": 1, "bytes": 100}}
    assert result["by_extension"]["tif"] == {"files": 5, "bytes": 401}  # type: ignore[index, call-overload]


def test_only_the_first_files_are_in_the_result_of_the_job() -> None:
    files: list[JsonObject | None] = [{"name": f"{i}.tif", "size": 1} for i in range(1000)]

    result = ListContainer().aggregate(
        parse(), [stage_result(1, 1), stage_result(2, 1000)], task_results(s2=files)
    )

    assert len(result["first_files"]) == 10  # type: ignore[arg-type]
    assert result["files"] == 1000
