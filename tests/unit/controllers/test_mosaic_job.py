"""mosaic_to_cog: what it may be asked, how it fans out, what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from controllers.mosaic_to_cog import MosaicToCog, MosaicToCogParameters
from interfaces.contracts import JsonObject, StageResult, TaskOutcome
from interfaces.plans import FailJob, Tasks, TasksFromItems
from interfaces.states import FailurePolicy, TaskStatus

from .outcomes import stage_result


def parse(**parameters: Any) -> MosaicToCogParameters:
    given = {"container": "bronze", "prefix": "", "target_container": "silver", "target_name": "all.tif"}
    return MosaicToCogParameters.model_validate_json(json.dumps(given | parameters))


def listed(matched: int) -> StageResult:
    task = TaskOutcome(task_index=0, status=TaskStatus.COMPLETED, result={"listed": 9, "matched": matched})
    return stage_result(1, 1).model_copy(update={"first_task_results": [task]})


@pytest.mark.parametrize(
    ("parameters", "field", "reason"),
    [
        ({"target_name": "all.png"}, "target_name", "must end in .tif"),
        ({"target_name": "../all.tif"}, "target_name", "none that is . or .."),
        ({"target_name": "{stem}.tif"}, "target_name", "braces stand for nothing"),
        ({"target_name": "a" * 1024 + ".tif"}, "target_name", "1 to 1,024 characters"),
        ({"path_template": "{stem}.tif"}, "path_template", "Extra inputs"),
        ({"order": "random"}, "order", "'listed', 'name'"),
        ({"pixel_size": "smallest"}, "pixel_size", "'finest', 'coarsest'"),
        ({"placement": "keep"}, "placement", "a mosaic has one grid"),
        ({"blob": "a.tif"}, "", "exactly one of blob, blobs and prefix"),
    ],
)
def test_bad_parameters_are_refused_by_the_name_of_the_field(
    parameters: JsonObject, field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        parse(**parameters)
    errors = [(".".join(map(str, error["loc"])), error["msg"]) for error in refused.value.errors()]
    assert any(path.startswith(field) and reason in message for path, message in errors), errors


def test_no_raster_may_be_missing_unless_that_is_said() -> None:
    for asked, fraction in (({}, 0.0), ({"max_failed_fraction": 0.2}, 0.2)):
        inspect = MosaicToCog().plan(2, parse(**asked), listed(3))
        assert isinstance(inspect, TasksFromItems)
        assert inspect.max_failed_fraction == fraction
    policies = {stage.key: stage.on_failure for stage in MosaicToCog().stages}
    assert {key for key, policy in policies.items() if policy is FailurePolicy.CONTINUE} == {
        "inspect",
        # A mosaic that is published stays so.
        "register",
    }


def test_all_rasters_meet_in_one_task_and_tiles_in_another() -> None:
    job, parameters = MosaicToCog(), parse(prefix="2026/", order="name", target_crs="EPSG:3857")

    first = job.plan(1, parameters, None)
    assert isinstance(first, Tasks)
    assert [task["prefix"] for task in first.parameters] == ["2026/"]
    groups = []
    for stage in range(2, 9):
        plan = job.plan(stage, parameters, listed(3) if stage == 2 else stage_result(stage - 1, 1))
        assert isinstance(plan, TasksFromItems)
        groups.append(plan.group_by)
    assert groups == [None, "mosaic", None, "target", None, None, "batch"]
    compose = job.plan(3, parameters, stage_result(2, 3))
    assert isinstance(compose, TasksFromItems)
    assert compose.common["order"] == {"order": "name", "pixel_size": "finest"}
    options, target = compose.common["options"], compose.common["target"]
    assert isinstance(options, dict)
    assert isinstance(target, dict)
    assert (options["target_crs"], target["target_name"]) == ("EPSG:3857", "all.tif")


@pytest.mark.parametrize(
    ("matched", "reason"), [(0, "there is no raster"), (10_001, "10001 rasters are too many for one mosaic")]
)
def test_none_and_too_many_rasters_fail_the_job(matched: int, reason: str) -> None:
    plan = MosaicToCog().plan(2, parse(), listed(matched))
    assert isinstance(plan, FailJob)
    assert reason in plan.reason


@pytest.mark.parametrize(("status", "cogs", "unchanged"), [("planned", 1, 0), ("unchanged", 0, 1)])
def test_the_result_says_what_became_of_the_mosaic_and_what_is_not_in_it(
    status: str, cogs: int, unchanged: int
) -> None:
    def done(**result: Any) -> TaskOutcome:
        return TaskOutcome(task_index=0, status=TaskStatus.COMPLETED, result=result)

    bad = TaskOutcome(task_index=1, status=TaskStatus.FAILED, error="not a raster")
    outcomes = {2: [done(source="a.tif"), bad], 3: [done(status=status)]}
    if status == "planned":
        outcomes[6] = [done(source="a.tif", name="all.tif", url="https://x/all.tif", size=7)]
    job = MosaicToCog()
    stages = [
        stage_result(number, 1).model_copy(update={"stage_key": stage.key})
        for number, stage in enumerate(job.stages, 1)
    ]

    result = job.aggregate(parse(), stages, lambda stage: iter(outcomes.get(stage, [])))

    assert (result["cogs"], result["unchanged"], result["rasters"]) == (cogs, unchanged, 1)
    assert result["failures"] == [{"stage": "inspect", "task_index": 1, "reason": "not a raster"}]
