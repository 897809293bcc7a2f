"""Which attempts at planning a stage count: those of a planner that died, if it may have died of the plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from engine.patience import patient
from interfaces.errors import ServiceUnavailable
from interfaces.jobs import ClaimedPlan
from interfaces.plans import StageDefinition, Tasks
from repositories.jobs import JobRepository
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import TERMINAL, World

LEASE = timedelta(minutes=1)


class Dying:
    """Processes that claim something and die."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._jobs = JobRepository(world.databases[0])
        self._tasks = TaskRepository(world.databases[0])

    def plans(self, job_id: str, worker: str) -> ClaimedPlan | None:
        return self._jobs.claim_plan(job_id, 1, 1, worker=worker, lease=LEASE, max_attempts=5)

    def runs(self, job_id: str, worker: str, first: int = 0) -> None:
        assert self._tasks.claim(job_id, 1, 1, first, first, worker=worker, lease=LEASE)

    def release(self, plan: ClaimedPlan) -> None:
        self._jobs.release_plan(plan, "interrupted")

    def plan_lease_ends(self, *job_ids: str) -> None:
        self._ends("jobs", "plan_lease_until", job_ids)

    def task_leases_end(self, *job_ids: str) -> None:
        self._ends("tasks", "lease_until", job_ids)

    def _ends(self, table: str, column: str, job_ids: tuple[str, ...]) -> None:
        self._world.rows(
            f"UPDATE app.{table} SET {column} = now() - interval '1 s'"
            f" WHERE job_id = ANY (%s) AND {column} IS NOT NULL",
            list(job_ids),
            fetch=False,
        )


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app with a workflow of one stage, whose batches wait for their messages."""
    world = make_world(run_at_once_seconds=0)
    world.register(ScriptedJob("job", [StageDefinition("a", "w")]), task_type("w", lambda p, c: {}))
    return world


@pytest.fixture
def dying(world: World) -> Dying:
    """Processes of the world that die."""
    return Dying(world)


def counted(world: World, job_id: str) -> tuple[int, int]:
    """Attempts at the plan that count, and losses that do not."""
    row = world.job(job_id)
    return row["plan_attempts"], row["plan_spared"]


def planned(world: World) -> str:
    """A job whose tasks wait."""
    job_id = world.submit("job", n=9, label="planned").job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    return job_id


def test_a_plan_whose_connection_is_cut_again_and_again_is_made_once_it_lasts(world: World) -> None:
    cuts = iter(range(2 * world.settings.max_plan_attempts))

    def rows() -> Iterator[dict[str, Any]]:
        # More than are looked at before the rows begin to be written.
        for i in range(500):
            if i == 250 and next(cuts, None) is not None:
                world.rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE 'COPY%%'"
                )
                time.sleep(0.05)
            yield {"i": i}

    world.register(ScriptedJob("cut", [StageDefinition("a", "w")], lambda stage, p, previous: Tasks(rows())))
    job_id = world.submit("cut").job_id
    end = time.monotonic() + 60
    while world.job(job_id)["status"] not in TERMINAL and time.monotonic() < end:
        with suppress(ServiceUnavailable):
            world.pump()
        world.engine.reconcile()
    assert world.job(job_id)["status"] == "completed"
    assert world.events(job_id).count("plan_interrupted") == 2 * world.settings.max_plan_attempts
    assert world.violations() == {}


def test_a_plan_that_is_interrupted_for_ever_fails_its_job(world: World, dying: Dying) -> None:
    job_id = world.submit("job").job_id
    tries = 0
    while plan := dying.plans(job_id, "w"):
        dying.release(plan)
        tries += 1
    assert tries == 100 + 5
    row = world.job(job_id)
    assert row["status"] == "failed"
    assert row["error"].endswith("5 attempts ended without an answer, and 100 were interrupted")


def test_a_plan_is_given_back_although_the_first_try_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise ServiceUnavailable("database: connection failed")

    planner: Any = world.engine._planner
    release, tries = planner._jobs.release_plan, iter([cut, cut])
    monkeypatch.setattr(planner, "_carry_out", cut)
    monkeypatch.setattr(planner._jobs, "release_plan", lambda *given: next(tries, release)(*given))
    job_id = world.submit("job").job_id
    with pytest.raises(ServiceUnavailable):
        world.pump()
    assert counted(world, job_id) == (0, 0)
    assert world.job(job_id)["plan_fence"] is None


def test_patience_ends_with_the_lease(make_world: Callable[..., World]) -> None:
    calls: list[float] = []

    def away() -> None:
        calls.append(time.monotonic())
        raise ServiceUnavailable("away")

    with pytest.raises(ServiceUnavailable):
        patient(make_world(lease_seconds=1, heartbeat_seconds=0.3).settings)(away)
    assert len(calls) > 1
    assert calls[-1] - calls[0] < 6


def test_a_plan_whose_planner_died_alone_counts(world: World, dying: Dying) -> None:
    other, job_id = planned(world), world.submit("job").job_id
    dying.runs(other, "another worker")
    assert dying.plans(job_id, "w")
    dying.plan_lease_ends(job_id)
    world.engine.reconcile()
    assert counted(world, job_id) == (1, 0)


@pytest.mark.parametrize("noticed", ["by the reconciler", "by the next claim"])
def test_a_plan_that_died_with_a_task_of_its_process_counts_only_from_the_third_time(
    world: World, dying: Dying, noticed: str
) -> None:
    other, job_id = planned(world), world.submit("job").job_id
    for death, expected in enumerate([(0, 1), (0, 2), (1, 2)]):
        assert dying.plans(job_id, f"w{death}")
        dying.runs(other, f"w{death}", first=death)
        dying.plan_lease_ends(job_id)
        if noticed == "by the reconciler":
            world.engine.reconcile()
            assert counted(world, job_id) == expected
    assert dying.plans(job_id, "at last")
    assert counted(world, job_id) == (2, 2)


def test_it_does_not_matter_which_lease_ends_first(world: World, dying: Dying) -> None:
    other, job_id = planned(world), world.submit("job").job_id
    assert dying.plans(job_id, "w")
    dying.runs(other, "w")
    dying.task_leases_end(other)
    world.engine.reconcile()
    assert counted(world, job_id) == (1, 0)
    assert world.tasks(other)[0]["status"] == "queued"
    dying.plan_lease_ends(job_id)
    world.engine.reconcile()
    assert counted(world, job_id) == (0, 1)


@pytest.mark.parametrize("first", ["plan", "task"])
def test_a_task_that_died_beside_a_plan_counts_only_from_the_third_time(
    world: World, dying: Dying, first: str
) -> None:
    other, job_id = planned(world), world.submit("job").job_id
    for death, attempts in enumerate([0, 0, 1]):
        assert dying.plans(job_id, f"w{death}")
        dying.runs(other, f"w{death}")
        for lease in ("plan", "task") if first == "plan" else ("task", "plan"):
            if lease == "plan":
                dying.plan_lease_ends(job_id)
                world.engine.reconcile()
                # Somebody else takes the plan up before the task is judged, and lives.
                plan = dying.plans(job_id, "living")
                assert plan is not None
                dying.release(plan)
            else:
                dying.task_leases_end(other)
                world.engine.reconcile()
        task = world.tasks(other)[0]
        assert (task["status"], task["attempt"]) == ("queued", attempts)
        world.rows("UPDATE app.tasks SET due_at = now() WHERE job_id = %s", other, fetch=False)
    assert [attempt["outcome"] for attempt in world.tasks(other)[0]["attempts"]] == ["lease_lost"] * 3
    assert world.violations() == {}


def test_two_plans_that_died_together_do_not_count(world: World, dying: Dying) -> None:
    jobs = [world.submit("job", label=label).job_id for label in "abc"]
    for job_id in jobs:
        assert dying.plans(job_id, "w")
    # The lease of one ends before those of the others.
    for some in (jobs[:1], jobs[1:]):
        dying.plan_lease_ends(*some)
        world.engine.reconcile()
    assert [counted(world, job_id) for job_id in jobs] == [(0, 1)] * 3


def test_a_stage_that_is_planned_leaves_no_account_to_the_next(world: World, dying: Dying) -> None:
    other, job_id = planned(world), world.submit("job").job_id
    assert dying.plans(job_id, "w")
    dying.runs(other, "w")
    dying.plan_lease_ends(job_id)
    world.engine.reconcile()
    plan = dying.plans(job_id, "w2")
    assert plan is not None
    dying.release(plan)
    assert world.job(job_id)["plan_interruptions"] == 1
    assert world.run(job_id)["status"] == "completed"
    row = world.job(job_id)
    # One for the job's result.
    assert (*counted(world, job_id), row["plan_interruptions"]) == (1, 0, 0)
