"""vector_to_postgis: how its stages fan out, and what it answers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controllers.vector_to_postgis import VectorToPostgis, VectorToPostgisParameters
from interfaces.contracts import JsonObject, TaskOutcome
from interfaces.plans import Tasks, TasksFromItems
from interfaces.states import TaskStatus

from .outcomes import stage_result

JOB = VectorToPostgis()


def asked(**given: Any) -> VectorToPostgisParameters:
    return VectorToPostgisParameters(**({"container": "bronze", "blob": "a.gpkg"} | given))


def test_one_task_lists_and_knows_nothing_of_tables() -> None:
    plan = JOB.plan(1, asked(blob=None, prefix="in/", filter="*.gpkg"), None)
    assert isinstance(plan, Tasks)
    [task] = plan.parameters
    assert (task["prefix"], task["filter"]["glob"]) == ("in/", "*.gpkg")  # type: ignore[index, call-overload]
    assert set(task) == {"container", "blob", "blobs", "prefix", "filter", "limit"}


def test_layers_of_one_table_and_chunks_of_one_staging_table_come_together() -> None:
    plans = [JOB.plan(stage, asked(max_failed_fraction=0.25), None) for stage in (2, 3, 4, 5)]
    assert all(isinstance(plan, TasksFromItems) for plan in plans)
    assert [plan.group_by for plan in plans if isinstance(plan, TasksFromItems)] == [
        None,
        "target",
        None,
        "staging",
    ]
    assert {plan.max_failed_fraction for plan in plans if isinstance(plan, TasksFromItems)} == {0.25}


def test_what_was_published_is_added_up_and_failures_have_their_reasons() -> None:
    published: JsonObject = {
        "read": 4,
        "rejected": 1,
        "published": [
            {"target_schema": "features", "target_table": "a_line", "loaded": 1, "rows": 1},
            {"target_schema": "features", "target_table": "a_point", "loaded": 2, "rows": 9},
        ],
    }
    tasks = {
        2: [TaskOutcome(task_index=1, status=TaskStatus.FAILED, error="no layers")],
        5: [TaskOutcome(task_index=0, status=TaskStatus.COMPLETED, result=published)],
    }
    stages = [stage_result(number, 1) for number, _ in enumerate(JOB.stages, 1)]
    result = JOB.aggregate(asked(), stages, lambda stage: iter(tasks.get(stage, [])))
    assert (result["read"], result["loaded"], result["rejected"], result["table_count"]) == (4, 3, 1, 2)
    tables: Any = result["tables"]
    assert [table["table"] for table in tables] == ["features.a_line", "features.a_point"]
    assert result["failures"] == [{"stage": "stage-2", "task_index": 1, "reason": "no layers"}]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"prefix": ""}, "give exactly one of blob, blobs and prefix"),
        ({"if_exists": "upsert"}, "upsert needs them"),
        ({"key_columns": ["id"]}, "key_columns go with if_exists upsert"),
        ({"bbox": [10, 0, 5, 1]}, "west must be below east"),
        ({"bbox": [0, 0, 1, 1], "polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}, "either bbox or polygon"),
        ({"polygon": {"type": "Point", "coordinates": [1, 2]}}, "should be a Polygon or a MultiPolygon"),
        ({"polygon": "POLYGON ((0 0, 2 2, 0 2, 2 0, 0 0))"}, "is not valid: Self-intersection"),
        ({"csv": {"x": "lon"}}, "x and y go together"),
        ({"simplify": 0}, "greater than 0"),
        ({"precision": 0.1, "repair": "off"}, "repair must not be off"),
        ({"subdivide": 4}, "greater than or equal to 5"),
        ({"subdivide": 64, "repair": "off"}, "repair must not be off"),
        ({"datetime": "2024-05-01T00:00:00Z"}, "it goes with collection_id"),
        ({"encoding": "klingon"}, "no encoding that Python knows"),
        ({"encoding": "zlib"}, "no encoding that Python knows"),
        ({"target_schema": "geo"}, "schema geo is not for layers"),
        ({"target_schema": "audit", "target_table": "actions"}, "schema audit is not for layers"),
        ({"target_schema": "Robert'); --"}, "lower-case letters"),
        ({"target_crs": "EPSG:999999"}, "no CRS that PROJ knows"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason.replace("(", r"\(")):
        asked(**given)
