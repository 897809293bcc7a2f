"""A controller that breaks its contract fails its job, loudly, with a message that names the field."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.plans import CompleteJob, FailJob, StageDefinition, Tasks, TasksFromItems, TasksFromResults
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

STAGES = [StageDefinition("first", "work"), StageDefinition("second", "work")]


@pytest.fixture
def run(world: World) -> Callable[..., dict[str, Any]]:
    """Runs a job whose controller plans and aggregates as given; answers the job's row."""

    def run(plan: Callable[..., Any] | None = None, aggregate: Callable[..., Any] | None = None) -> Any:
        world.register(ScriptedJob("job", STAGES, plan, aggregate), task_type("work", lambda p, c: {"a": 1}))
        job = world.run(world.submit("job", n=2).job_id)
        assert world.violations() == {}
        return job

    return run


Run = Callable[..., dict[str, Any]]


def with_plan(answer: Any, stage: int = 1) -> Callable[..., Any]:
    return lambda number, parameters, previous: answer if number == stage else Tasks([{}])


@pytest.mark.parametrize("answer", [None, [{"i": 1}], {"tasks": 3}, "all", 3, StageDefinition("a", "b")])
def test_a_plan_that_is_no_plan_fails_the_job(run: Run, answer: Any) -> None:
    job = run(with_plan(answer))
    assert job["status"] == "failed"
    assert job["error"].startswith("stage 1: ScriptedJob.plan: returned")
    assert "Tasks" in job["error"]


def test_a_wrong_plan_of_a_later_stage_names_the_stage(run: Run) -> None:
    job = run(with_plan(None, stage=2))
    assert job["status"] == "failed"
    assert job["error"].startswith("stage 2: ScriptedJob.plan: returned")


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (Tasks(5), "Tasks.parameters"),  # type: ignore[arg-type]
        (Tasks("abc"), "Tasks.parameters"),  # type: ignore[arg-type]
        (Tasks([{}, 5]), "parameters.1"),  # type: ignore[list-item]
        (Tasks([{}, {}, {"a": {1, 2}}]), "parameters.2.a"),  # type: ignore[dict-item]
        (Tasks([{}, {"a": float("nan")}]), "parameters.1.a"),
        (Tasks([{}], common=[1]), "returned.Tasks.common"),  # type: ignore[arg-type]
        (Tasks([{}], common={"a": {1}}), "returned.Tasks.common"),  # type: ignore[dict-item]
        (Tasks([{}], max_failed_fraction=1.5), "returned.Tasks.max_failed_fraction"),
        (Tasks([{}], on_failure="shrug"), "returned.Tasks.on_failure"),  # type: ignore[arg-type]
        (CompleteJob([1]), "returned.CompleteJob.result"),  # type: ignore[arg-type]
        (CompleteJob({"mean": [float("inf")]}), "mean.0"),
        (FailJob(None), "returned.FailJob.reason"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_field_of_a_plan_fails_the_job_and_is_named(run: Run, answer: Any, field: str) -> None:
    job = run(with_plan(answer))
    assert job["status"] == "failed"
    assert field in job["error"]


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (TasksFromResults("a"), "returned.TasksFromResults.select"),  # type: ignore[arg-type]
        (TasksFromResults({"a": 1}), "returned.TasksFromResults.select"),  # type: ignore[dict-item]
        (TasksFromItems(common=5), "returned.TasksFromItems.common"),  # type: ignore[arg-type]
        (TasksFromItems(group_by=5), "returned.TasksFromItems.group_by"),  # type: ignore[arg-type]
        (TasksFromItems(group_by=""), "returned.TasksFromItems.group_by"),
        (TasksFromItems(group_by="items"), "returned.TasksFromItems.group_by"),
    ],
)
def test_a_wrong_field_of_a_plan_from_the_database_is_named(run: Run, answer: Any, field: str) -> None:
    job = run(with_plan(answer, stage=2))
    assert job["status"] == "failed"
    assert field in job["error"]


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (None, "returned"),
        ([1, 2], "returned"),
        ("done", "returned"),
        ({"files": {1, 2}}, "returned.files"),
        ({"files": [1, object()]}, "returned.files"),
        ({5: "five"}, "returned.5"),
    ],
)
def test_a_result_that_is_not_json_fails_the_job_and_is_named(run: Run, answer: Any, named: str) -> None:
    job = run(aggregate=lambda stages, results: answer)
    assert job["status"] == "failed"
    assert job["error"].startswith(f"stage 3: ScriptedJob.aggregate: {named}")
    assert job["result"] is None


def test_a_result_with_numbers_that_json_lacks_fails_the_job(run: Run) -> None:
    job = run(aggregate=lambda stages, results: {"mean": float("nan")})
    assert job["status"] == "failed"
    assert "mean" in job["error"]


def test_the_violation_is_logged_with_its_trace(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    job = run(with_plan(None))
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert any(job["job_id"] in (text := record.getMessage()) and "Traceback" in text for record in errors)


def test_an_error_of_the_controllers_own_fails_the_job_with_its_text(run: Run) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("tiles")

    assert run(broken)["error"] == "stage 1: KeyError: 'tiles'"


def test_an_error_of_the_controllers_own_shows_no_secret(run: Run) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("AccountKey=abc== \ud800 \0")

    assert "abc" not in run(broken)["error"]


def test_an_error_while_tasks_are_made_leaves_no_task_behind(world: World, run: Run) -> None:
    def parameters() -> Any:
        yield {"i": 0}
        raise PermanentTaskError("the manifest ends here")

    job = run(with_plan(Tasks(parameters())))
    assert (job["status"], job["error"]) == ("failed", "stage 1: the manifest ends here")
    assert world.tasks(job["job_id"]) == []


@pytest.mark.parametrize(
    "answer", [None, 5, "done", ["a"], {"a": {1, 2}}, {"a": float("nan")}, {1: {2: object()}}]
)
def test_a_handler_that_answers_no_json_fails_its_task_at_once(world: World, answer: Any) -> None:
    world.register(ScriptedJob("job", STAGES[:1]), task_type("work", lambda p, c: answer))
    job = world.run(world.submit("job").job_id)
    assert job["status"] == "failed"
    [task] = world.tasks(job["job_id"])
    assert task["attempt"] == 1
    assert task["error"].startswith("work: ")
    assert world.violations() == {}


def test_a_handlers_error_with_characters_that_no_row_can_hold_is_kept(world: World) -> None:
    def fail(p: Any, c: Any) -> Any:
        raise PermanentTaskError("caf\udce9\0.tif is broken")

    world.register(ScriptedJob("job", STAGES[:1]), task_type("work", fail))
    job = world.run(world.submit("job").job_id)
    assert job["status"] == "failed"
    assert ".tif is broken" in world.tasks(job["job_id"])[0]["error"]
