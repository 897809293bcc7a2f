"""validate_vector and export_vector: how their stages fan out, and what they answer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controllers.export_vector import ExportVector, ExportVectorParameters
from controllers.validate_vector import ValidateVector, ValidateVectorParameters
from interfaces.contracts import JsonObject, TaskOutcome
from interfaces.plans import Tasks, TasksFromItems
from interfaces.states import TaskStatus

from .outcomes import stage_result


def export(**given: Any) -> ExportVectorParameters:
    asked = {"source_table": "parcels", "format": "geoparquet", "target_container": "silver"} | given
    return ExportVectorParameters(**asked)


def test_a_validation_has_a_task_for_each_file_which_knows_how_a_load_would_be_asked() -> None:
    asked = ValidateVectorParameters(container="bronze", prefix="", repair="drop", max_failed_fraction=0.25)
    first, second = (ValidateVector().plan(stage, asked, None) for stage in (1, 2))
    assert isinstance(first, Tasks)
    assert isinstance(second, TasksFromItems)
    [task] = first.parameters
    assert set(task) == {"container", "blob", "blobs", "prefix", "filter", "limit"}
    assert second.max_failed_fraction == 0.25
    options = second.common["options"]
    assert isinstance(options, dict)
    assert (options["repair"], options["layers"]) == ("drop", None)
    assert "if_exists" not in options


def test_what_validations_found_is_added_up_and_what_is_not_valid_has_its_reasons() -> None:
    layer: JsonObject = {"features": 3, "null_geometries": 1, "invalid_geometries": 2, "rejected": 1}
    found: list[JsonObject] = [
        {"name": "a.gpkg", "verdict": "valid", "reasons": [], "layers": [{"features": 4}, {"features": 5}]},
        {
            "name": "b.gpkg",
            "verdict": "invalid",
            "reasons": ["b: 2 are not valid"],
            "layers": [layer],
        },
    ]
    tasks = [
        TaskOutcome(task_index=number, status=TaskStatus.COMPLETED, result=one)
        for number, one in enumerate(found)
    ]
    tasks.append(TaskOutcome(task_index=2, status=TaskStatus.FAILED, error="access denied"))
    asked = ValidateVectorParameters(container="bronze", prefix="")
    stages = [stage_result(1, 1), stage_result(2, 3)]
    result = ValidateVector().aggregate(asked, stages, lambda stage: iter(tasks))
    assert result["verdicts"] == {"valid": 1, "invalid": 1, "not_checked": 1}
    assert (result["files"], result["layers"], result["features"], result["rejected"]) == (3, 3, 12, 1)
    assert result["not_valid"] == [
        {"name": "b.gpkg", "verdict": "invalid", "reasons": ["b: 2 are not valid"]},
        {"name": None, "verdict": "not_checked", "reasons": "access denied"},
    ]


def test_an_export_is_found_first_and_then_written_by_one_task() -> None:
    asked = export(where="height > 3")
    first, second = (ExportVector().plan(stage, asked, None) for stage in (1, 2))
    assert isinstance(first, Tasks)
    assert isinstance(second, TasksFromItems)
    [task] = first.parameters
    assert set(task) == {"selection", "target"}
    assert second.common["target"] == asked.model_dump(
        mode="json", include={"format", "target_container", "path_template", "overwrite"}
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"path_template": "{table}.gpkg"}, "a geoparquet file ends in .parquet"),
        ({"path_template": "{stem}.parquet"}, "unknown field {stem}"),
        ({"path_template": "{table}.tif"}, "must end in"),
        ({"bbox": [10, 0, 5, 1]}, "west must be below east"),
        ({"where": "1; DROP TABLE x"}, "is no CQL2 text"),
        ({"target_crs": "EPSG:999999"}, "no CRS that PROJ knows"),
        ({"overwrite": "if_changed"}, "overwrite"),
    ],
)
def test_exports_that_make_no_sense_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        export(**given)


def test_a_geoparquet_file_may_be_named_either_way() -> None:
    assert export(path_template="{table}.geoparquet").path_template == "{table}.geoparquet"
    assert export(path_template="{date}.{extension}", format="flatgeobuf").format == "flatgeobuf"
