"""What jobs took, and what the next one is likely to take."""

from __future__ import annotations

import time
from typing import Any

import pytest

from interfaces.costs import DryRun, JobCost
from interfaces.plans import StageDefinition, Tasks
from interfaces.states import TaskStatus
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

HELLO = "/api/jobs/submit/hello_world"
TABLES = ("jobs", "past_runs", "stages", "tasks", "outbox", "job_events")


def cost(api: Client, job_id: str, query: str = "") -> JobCost:
    answer = api.get(f"/api/jobs/{job_id}/cost{query}")
    assert answer.status == 200, answer.text()
    return JobCost.model_validate(answer.json())


def foreseen(api: Client, body: dict[str, Any], query: str = "?dry_run=true") -> DryRun:
    answer = api.post(HELLO + query, body)
    assert answer.status == 200, answer.text()
    return DryRun.model_validate(answer.json())


def counts(world: World) -> dict[str, Any]:
    return {table: world.rows(f"SELECT count(*) AS n FROM app.{table}")[0]["n"] for table in TABLES}


def test_a_job_tells_what_its_stages_took(api: Client, world: World) -> None:
    job = world.submit("hello_world", n=5, sleep_seconds=0.01).job_id
    assert cost(api, job).total.attempts == 0
    world.run(job)
    found = cost(api, job)
    assert [(s.stage, s.stage_key, s.tasks, s.attempts) for s in found.stages] == [
        (1, "greet", 5, 5),
        (2, "reply", 5, 5),
    ]
    assert found.total.attempts == 10
    assert found.total.seconds >= 0.1
    assert 0 < found.total.gb_seconds < found.total.seconds * 8
    assert found.total.peak_bytes > 10 * 1024**2
    tasks = world.tasks(job, 1)
    assert all(task["usage"]["seconds"] >= 0.01 for task in tasks)
    shown = api.get(f"/api/db/tasks/{job}?stage=1").json()["tasks"]
    assert [task["usage"] for task in shown] == [task["usage"] for task in tasks]
    assert sum(task["usage"]["seconds"] for task in tasks) == pytest.approx(found.stages[0].seconds, abs=1e-3)


def test_brief_tasks_are_in_the_sum_alone(api: Client, world: World) -> None:
    job = world.submit("hello_world", n=50).job_id
    world.run(job)
    assert cost(api, job).total.attempts == 100
    assert sum(task["usage"] is None for task in world.tasks(job)) > 50


def test_what_is_asked_of_storage_is_counted(api: Client, world: World) -> None:
    world.blobs.ensure_container("bronze")
    world.blobs.write("bronze", "a.bin", b"x" * 1000)

    def handler(parameters: Any, context: Any) -> dict[str, Any]:
        data = world.guarded.read("bronze", "a.bin")
        world.guarded.write("bronze", "b.bin", data[:10])
        world.guarded.write_stream("bronze", "c.bin", [b"x" * 5, b"x" * 5])
        return {"bytes": len(data)}

    world.register(
        ScriptedJob("copying", [StageDefinition("copy", "copy_blob")]), task_type("copy_blob", handler)
    )
    job = world.submit("copying", n=2).job_id
    assert world.run(job)["status"] == "completed"
    used = cost(api, job).total
    assert (used.operations, used.bytes_read, used.bytes_written) == (6, 2000, 40)


def test_attempts_that_failed_and_runs_that_were_retried_add_up(api: Client, world: World) -> None:
    job = world.submit(
        "hello_world", n=4, fail_fraction=0.5, on_failure="continue", sleep_seconds=0.002
    ).job_id
    world.run(job)
    assert cost(api, job).total.attempts == 4 + 2  # replies to those that succeeded
    assert api.post(f"/api/jobs/{job}/retry").status == 202
    world.run(job)
    again = cost(api, job)
    assert again.total.attempts == 4 + 2 + 2 + 2  # the replies were planned anew
    failed = next(task for task in world.tasks(job, 1) if task["status"] == TaskStatus.FAILED)
    assert failed["usage"]["seconds"] >= 0.004


def test_each_run_has_a_cost_of_its_own(api: Client, world: World) -> None:
    job = world.submit("hello_world", n=2).job_id
    world.run(job)
    assert api.post(f"/api/jobs/{job}/rerun").status == 202
    assert (cost(api, job).run, cost(api, job).total.attempts) == (2, 0)
    assert (cost(api, job, "?run=1").status, cost(api, job, "?run=1").total.attempts) == ("completed", 4)
    for run in ("3", "0", "x"):
        answer = api.get(f"/api/jobs/{job}/cost?run={run}")
        assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "run")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(api: Client, world: World) -> None:
    before = counts(world)
    found = foreseen(api, {"n": 7})
    assert (found.would_create, found.run, found.status) == (True, 1, None)
    assert "new one" in found.reason
    assert found.parameters["message"] == "Hello"
    assert [(s.known, s.tasks and s.tasks.mean) for s in found.stages] == [("exactly", 7), ("unknown", None)]
    assert found.estimate is None
    assert "no run of this job type has completed" in str(found.note)
    envelope = api.post("/api/jobs/submit?dry_run=true", {"job_type": "hello_world", "parameters": {"n": 7}})
    assert envelope.json() == found.model_dump(mode="json")
    assert counts(world) == before
    assert not world.queues.length(world.settings.jobs_queue)
    assert found.job_id == world.submit("hello_world", n=7).job_id


def test_a_dry_run_tells_a_duplicate_from_a_new_run(api: Client, world: World) -> None:
    job = world.submit("hello_world", n=2).job_id
    queued = foreseen(api, {"n": 2})
    assert (queued.job_id, queued.would_create, queued.run, queued.status) == (job, False, 1, "queued")
    world.run(job)
    before = counts(world)
    assert (foreseen(api, {"n": 2}).would_create, foreseen(api, {"n": 2}).status) == (False, "completed")
    again = foreseen(api, {"n": 2}, "?dry_run=true&rerun=true")
    assert (again.would_create, again.run) == (True, 2)
    assert counts(world) == before


def test_the_estimate_comes_from_runs_of_the_same_job_or_else_of_its_type(api: Client, world: World) -> None:
    first = world.submit("hello_world", n=10, sleep_seconds=0.002).job_id
    world.run(first)
    other = foreseen(api, {"n": 100})
    assert other.estimate is not None
    assert (other.estimate.of, other.estimate.based_on) == ("this job type", 1)
    assert other.stages[1].tasks is not None
    assert other.stages[1].tasks.mean == 10
    took = cost(api, first)
    assert other.estimate.usage.seconds == pytest.approx(
        took.stages[0].seconds * 10 + took.stages[1].seconds, rel=1e-6
    )
    same = foreseen(api, {"n": 10, "sleep_seconds": 0.002}, "?dry_run=true&rerun=true")
    assert same.estimate is not None
    assert same.estimate.of == "this job"
    assert same.estimate.usage.gb_seconds == pytest.approx(took.total.gb_seconds, rel=1e-6)
    assert took.planning_seconds > 0
    for estimate in (other.estimate, same.estimate):
        assert estimate.planning_seconds is not None
        assert estimate.planning_seconds.mean == pytest.approx(took.planning_seconds, rel=1e-6)
    # The next run's planning is looked for where it is kept then.
    assert api.post(f"/api/jobs/{first}/rerun").status == 202
    again = foreseen(api, {"n": 10, "sleep_seconds": 0.002}, "?dry_run=true&rerun=true")
    assert again.estimate is not None
    assert again.estimate.planning_seconds == same.estimate.planning_seconds


def test_a_dry_run_refuses_what_a_submission_refuses(api: Client) -> None:
    assert api.post(f"{HELLO}?dry_run=true", {"n": "three"}).status == 400
    assert api.post("/api/jobs/submit/nothing?dry_run=true", {}).status == 404


def test_planning_is_timed_also_of_planners_that_died(api: Client, world: World) -> None:
    def plan(stage: int, parameters: Any, previous: Any) -> Tasks:
        time.sleep(0.1)
        return Tasks([{}])

    world.register(
        ScriptedJob("slow", [StageDefinition("a", "work")], plan), task_type("work", lambda p, c: {})
    )
    job = world.submit("slow").job_id
    # Somebody claimed the plan a minute ago, was last heard of half a minute ago, and died.
    world.rows(
        "UPDATE app.jobs SET plan_fence = 1, plan_worker = 'dead', plan_began_at = now() - interval '60 s',"
        " plan_heard_at = now() - interval '30 s', plan_lease_until = now() - interval '20 s' RETURNING 1"
    )
    assert cost(api, job).planning_seconds == pytest.approx(60, abs=5)
    world.run(job)
    first = cost(api, job).planning_seconds
    assert 30.1 < first < 35
    world.engine.rerun(job, correlation_id="c")
    world.run(job)
    assert 0.1 < cost(api, job).planning_seconds < 5
    assert cost(api, job, "?run=1").planning_seconds == first


def test_attempts_that_lost_their_lease_count_until_their_process_was_last_heard_of(
    api: Client, world: World
) -> None:
    work = task_type("work", lambda p, c: {}, max_batch=10)
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), work)
    object.__setattr__(world.settings, "run_at_once_seconds", 0)
    job = world.submit("job", n=2).job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    # Claimed together two minutes ago; the last heartbeat, a lease before its end, came 80 s later.
    world.rows(
        "UPDATE app.tasks SET status = 'processing', worker = 'dead', fence = 1, attempt = 1,"
        " started_at = now() - interval '120 s', lease_until = now() - interval '40 s' + %s RETURNING 1",
        world.settings.lease,
    )
    assert world.engine.reconcile()["leases_ended"] == 2
    found = cost(api, job)
    assert found.total.attempts == 2
    assert found.total.seconds == pytest.approx(80, abs=0.01)
    assert [task["usage"]["seconds"] for task in world.tasks(job)] == [pytest.approx(40, abs=0.01)] * 2
    world.run(job)
    assert cost(api, job).total.attempts == 4
