"""Cancel, retry, and re-run, at every moment of a job's life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.planning import Planner
from interfaces.errors import (
    Conflict,
    InvalidParameters,
    JobNotFound,
    PayloadTooLarge,
    PermanentTaskError,
    UnknownJobType,
)
from interfaces.plans import StageDefinition, Tasks, TasksFromResults
from interfaces.states import FailurePolicy
from repositories import jobs
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


def _deliver_one(world: World, queue: str) -> None:
    message = world.queues.receive(queue)
    assert message is not None
    world.deliver(message, queue)


def test_a_job_cancelled_before_it_started_is_cancelled_at_once(world: World) -> None:
    job = world.submit("hello_world", n=5)
    assert world.engine.cancel(job.job_id).changed
    assert world.job(job.job_id)["status"] == "cancelled"
    world.pump()
    assert world.tasks(job.job_id) == []
    assert world.violations() == {}


def test_queued_tasks_of_a_cancelled_job_are_never_claimed(world: World) -> None:
    job = world.submit("hello_world", n=10_000)
    _deliver_one(world, world.settings.jobs_queue)
    world.engine.cancel(job.job_id)
    assert world.job(job.job_id)["status"] == "cancelled"
    world.pump()
    tasks = world.tasks(job.job_id)
    assert {task["status"] for task in tasks} == {"cancelled"}
    assert {task["attempt"] for task in tasks} == {0}
    assert world.progress(job.job_id)[0]["cancelled"] == 10_000
    assert world.violations() == {}


def test_a_running_handler_learns_of_the_cancellation_within_a_heartbeat(world: World) -> None:
    started = threading.Event()
    seen: list[float] = []

    def patient(p: dict[str, Any], c: Any) -> dict[str, Any]:
        started.set()
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < 10:
                c.check()
                time.sleep(0.02)
        finally:
            seen.append(time.monotonic())
        return {}

    world.register(ScriptedJob("job", [StageDefinition("a", "patient")]), task_type("patient", patient))
    job = world.submit("job")
    _deliver_one(world, world.settings.jobs_queue)
    runner = threading.Thread(target=_deliver_one, args=(world, world.settings.tasks_queue))
    runner.start()
    assert started.wait(10)
    cancelled_at = time.monotonic()
    assert world.engine.cancel(job.job_id).status == "cancelling"
    assert world.job(job.job_id)["status"] == "cancelling"
    runner.join(10)
    assert seen[0] - cancelled_at < 5
    assert world.job(job.job_id)["status"] == "cancelled"
    assert world.tasks(job.job_id)[0]["status"] == "cancelled"
    assert world.violations() == {}


def test_cancelling_twice_is_no_error_and_cancelling_what_has_ended_is(world: World) -> None:
    job = world.submit("hello_world", n=2)
    world.engine.cancel(job.job_id)
    assert not world.engine.cancel(job.job_id).changed
    done = world.submit("hello_world", n=3)
    world.run(done.job_id)
    with pytest.raises(Conflict, match="completed already"):
        world.engine.cancel(done.job_id)
    with pytest.raises(JobNotFound):
        world.engine.cancel("0" * 64)


def test_a_cancelled_job_is_run_anew_when_submitted_again(world: World) -> None:
    job = world.submit("hello_world", n=2)
    world.engine.cancel(job.job_id)
    again = world.submit("hello_world", n=2)
    assert (again.created, again.run) == (True, 2)
    assert world.run(job.job_id)["status"] == "completed"


def test_retry_repeats_only_what_failed_and_keeps_the_rest(world: World) -> None:
    broken = {"on": True}
    runs: list[int] = []

    def sometimes(p: dict[str, Any], c: Any) -> dict[str, Any]:
        runs.append(p["i"])
        if broken["on"] and p["i"] == 3:
            raise ValueError("three")
        return {"i": p["i"]}

    world.register(
        ScriptedJob(
            "job",
            [StageDefinition("a", "sometimes", FailurePolicy.CONTINUE), StageDefinition("b", "copy")],
            lambda s, p, r: Tasks([{"i": i} for i in range(p.n)]) if s == 1 else TasksFromResults({"i": "i"}),
        ),
        task_type("sometimes", sometimes),
        task_type("copy", lambda p, c: {"i": p["i"]}),
    )
    job = world.submit("job", n=6)
    assert world.run(job.job_id)["status"] == "completed_with_errors"
    assert len(world.tasks(job.job_id, 2)) == 5
    broken["on"] = False
    runs.clear()
    changed = world.engine.retry(job.job_id, correlation_id="c")
    assert (changed.tasks_queued, changed.stage, changed.run) == (1, 1, 1)
    row = world.run(job.job_id)
    assert (row["status"], row["run"]) == ("completed", 1)
    assert runs == [3]
    assert [task["result"]["i"] for task in world.tasks(job.job_id, 2)] == list(range(6))
    assert world.tasks(job.job_id, 1)[3]["attempts"], "the history of the failed attempts is kept"
    assert world.violations() == {}


def test_retry_after_a_failed_job_runs_what_failed_and_what_was_cancelled_with_it(world: World) -> None:
    broken = {"on": True}

    def first_fails(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if broken["on"] and p["i"] == 0:
            raise PermanentTaskError("zero")
        return {}

    world.register(ScriptedJob("job", [StageDefinition("a", "f")]), task_type("f", first_fails))
    job = world.submit("job", n=200)
    assert world.run(job.job_id)["status"] == "failed"
    states = [task["status"] for task in world.tasks(job.job_id)]
    assert states.count("failed") == 1
    assert states.count("cancelled") > 0
    broken["on"] = False
    world.engine.retry(job.job_id, correlation_id="c")
    assert world.run(job.job_id)["status"] == "completed"
    assert {task["status"] for task in world.tasks(job.job_id)} == {"completed"}
    assert world.violations() == {}


def test_retry_takes_up_a_job_that_failed_while_it_was_planned_or_summed_up(world: World) -> None:
    broken = {"plan": True, "sum": True}

    def plan(stage: int, p: Any, previous: Any) -> Tasks:
        if stage == 2 and broken["plan"]:
            raise RuntimeError("no plan")
        return Tasks([{}])

    def aggregate(stages: Any, results: Any) -> dict[str, Any]:
        if broken["sum"]:
            raise RuntimeError("no sum")
        return {"tasks": sum(len(list(results(s.stage_number))) for s in stages)}

    stages = [StageDefinition("a", "noop"), StageDefinition("b", "noop")]
    world.register(ScriptedJob("job", stages, plan, aggregate), task_type("noop", lambda p, c: {}))
    job = world.submit("job")
    assert "no plan" in world.run(job.job_id)["error"]
    broken["plan"] = False
    world.engine.retry(job.job_id, correlation_id="c")
    assert "no sum" in world.run(job.job_id)["error"]
    broken["sum"] = False
    world.engine.retry(job.job_id, correlation_id="c")
    row = world.run(job.job_id)
    assert (row["status"], row["result"]) == ("completed", {"tasks": 2})
    assert all(task["attempt"] == 1 for task in world.tasks(job.job_id))
    assert world.violations() == {}


def test_a_retry_of_many_tasks_may_take_long(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than any other answer of the database may let wait, without a word of an outage."""
    world = make_world(database_answer_seconds=0.5, database_long_seconds=30)
    monkeypatch.setattr(jobs, "BRIEF", 5)
    broken = [True]

    def work(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if broken:
            raise PermanentTaskError("broken")
        return {}

    stage = StageDefinition("a", "work", on_failure=FailurePolicy.CONTINUE)
    world.register(ScriptedJob("job", [stage]), task_type("work", work))
    job_id = world.submit("job", n=6).job_id
    assert world.run(job_id)["status"] == "completed_with_errors"
    slow = """
    CREATE FUNCTION app.slowly() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.25); RETURN new; END';
    CREATE TRIGGER slowly BEFORE UPDATE ON app.tasks FOR EACH ROW WHEN (new.attempt = 0)
    EXECUTE FUNCTION app.slowly();
    """
    world.rows(slow, fetch=False)
    assert world.engine.retry(job_id, correlation_id="c").tasks_queued == 6
    broken.clear()
    world.rows("DROP TRIGGER slowly ON app.tasks", fetch=False)
    assert world.run(job_id)["status"] == "completed"
    assert world.violations() == {}


def test_retry_and_rerun_refuse_jobs_in_other_states(world: World) -> None:
    job = world.submit("hello_world", n=2)
    with pytest.raises(Conflict):
        world.engine.retry(job.job_id, correlation_id="c")
    with pytest.raises(Conflict):
        world.engine.rerun(job.job_id, correlation_id="c")
    world.run(job.job_id)
    with pytest.raises(Conflict, match="completed"):
        world.engine.retry(job.job_id, correlation_id="c")
    assert world.engine.rerun(job.job_id, correlation_id="c").run == 2


def test_a_deploy_with_a_mended_handler_between_failure_and_retry(world: World) -> None:
    def bug(p: dict[str, Any], c: Any) -> dict[str, Any]:
        raise TypeError("a bug")

    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", bug))
    job = world.submit("job")
    assert world.run(job.job_id)["status"] == "failed"
    world.register(None, task_type("work", lambda p, c: {"mended": True}), replace=True)
    world.engine = world.new_engine()
    world.engine.retry(job.job_id, correlation_id="c")
    assert world.run(job.job_id)["status"] == "completed"


def test_a_task_type_that_a_deploy_removed_fails_the_job_and_says_so(world: World) -> None:
    world.register(ScriptedJob("job", [StageDefinition("a", "gone")]), task_type("gone", lambda p, c: {}))
    job = world.submit("job")
    _deliver_one(world, world.settings.jobs_queue)
    del world.task_types._definitions["gone"]
    row = world.run(job.job_id)
    assert row["status"] == "failed"
    assert "no task type 'gone' is registered" in row["error"]


def test_a_retry_that_races_a_cancellation_leaves_nothing_queued(world: World) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def fails_late(p: dict[str, Any], c: Any) -> dict[str, Any]:
        inside.set()
        go_on.wait(10)
        raise OSError("late")

    world.register(ScriptedJob("job", [StageDefinition("a", "late")]), task_type("late", fails_late))
    job = world.submit("job")
    _deliver_one(world, world.settings.jobs_queue)
    runner = threading.Thread(target=_deliver_one, args=(world, world.settings.tasks_queue))
    runner.start()
    assert inside.wait(10)
    world.engine.cancel(job.job_id)
    go_on.set()
    runner.join(10)
    assert world.run(job.job_id)["status"] == "cancelled"
    [task] = world.tasks(job.job_id)
    assert task["status"] == "cancelled"
    assert world.violations() == {}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": True}, "n"),
        ({"n": 1_000_001}, "n"),
        ({"nn": 1}, "nn"),
        ({"name": None}, "name"),
        ({"fail_fraction": 2}, "fail_fraction"),
        ([], "parameters"),
        ("text", "parameters"),
        (None, "parameters"),
        (7, "parameters"),
    ],
)
def test_bad_parameters_are_refused_by_the_name_of_the_field(
    world: World, parameters: object, field: str
) -> None:
    with pytest.raises(InvalidParameters) as caught:
        world.engine.submit("hello_world", parameters, correlation_id="c")
    assert [error.field for error in caught.value.errors] == [field]
    assert world.rows("SELECT 1 FROM app.jobs") == []


@pytest.mark.parametrize("own", ["own-scratch", "own-results", "own-archive", "azure-webjobs-hosts"])
@pytest.mark.parametrize(
    ("job_type", "given"),
    [
        ("raster_to_cog", {"container": "bronze", "prefix": ""}),
        ("mosaic_to_cog", {"container": "bronze", "prefix": "", "target_name": "a.tif"}),
        ("stac_export", {"format": "geoparquet", "collections": ["scenes"]}),
    ],
)
def test_no_job_writes_into_a_container_of_the_app_itself(
    make_world: Callable[..., World], job_type: str, given: dict[str, Any], own: str
) -> None:
    world = make_world(
        scratch_container="own-scratch",
        results_container="own-results",
        retention_archive_container="own-archive",
    )
    with pytest.raises(InvalidParameters, match="choose another one") as caught:
        world.submit(job_type, **given, target_container=own)
    assert [error.field for error in caught.value.errors] == ["target_container"]
    assert world.submit(job_type, **given, target_container="own-cogs").created


def test_unknown_job_types_and_oversized_parameters_are_refused(make_world: Callable[..., World]) -> None:
    world = make_world(max_parameters_bytes=100)
    with pytest.raises(UnknownJobType, match="known are: export_vector, hello_world, list_container, "):
        world.submit("hello")
    with pytest.raises(PayloadTooLarge):
        world.submit("hello_world", name="x" * 200)


def test_a_cancel_between_two_stages_ends_the_job(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(run_at_once_seconds=0)
    job = world.submit("hello_world", n=1)
    _deliver_one(world, world.settings.jobs_queue)
    # The process dies after the stage was finished, before the next is planned.
    monkeypatch.setattr(Planner, "process", lambda self, message: None)
    _deliver_one(world, world.settings.tasks_queue)
    monkeypatch.undo()
    assert world.job(job.job_id)["stage"] == 2
    world.engine.cancel(job.job_id)
    assert world.job(job.job_id)["status"] == "cancelled"
    world.pump()
    assert world.tasks(job.job_id, 2) == []
    assert world.violations() == {}


def test_a_crash_after_a_stage_was_finished_leaves_the_rest_to_its_message(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(run_at_once_seconds=0)
    job = world.submit("hello_world", n=1)
    _deliver_one(world, world.settings.jobs_queue)
    monkeypatch.setattr(Planner, "process", lambda self, message: None)
    _deliver_one(world, world.settings.tasks_queue)
    monkeypatch.undo()
    assert world.engine.relay() == 1
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
