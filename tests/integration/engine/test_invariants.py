"""Each invariant is seen when it is broken, none is while the system works, and no transition is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.plans import StageDefinition, Tasks, TasksFromResults
from interfaces.queues import JobMessage
from interfaces.states import FailurePolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.integration.engine.breakage import (
    BROKEN,
    Cause,
    end_a_lease_long_ago,
    execute,
    forget_to_send_again,
    leave_poison,
    lose_the_dispatches,
    planned,
    stall,
    workers,
)

from .arrivals import arrive
from .malformed import well_formed


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app in which every batch waits for its message."""
    return make_world(run_at_once_seconds=0)


AUDIT = """
CREATE TABLE public.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text, job_id text, run integer, stage integer, task_index integer, old text, new text
);
CREATE FUNCTION public.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE n jsonb := to_jsonb(NEW);
BEGIN
    INSERT INTO public.audit (kind, job_id, run, stage, task_index, old, new)
    VALUES (TG_TABLE_NAME, n ->> 'job_id', (n ->> 'run')::int, (n ->> 'stage')::int,
            (n ->> 'task_index')::int, CASE TG_OP WHEN 'UPDATE' THEN OLD.status::text END, NEW.status::text);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_insert AFTER INSERT ON app.jobs FOR EACH ROW EXECUTE FUNCTION public.note_change();
CREATE TRIGGER audit_update AFTER UPDATE ON app.jobs FOR EACH ROW
    WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION public.note_change();
CREATE TRIGGER audit_insert AFTER INSERT ON app.stages FOR EACH ROW EXECUTE FUNCTION public.note_change();
CREATE TRIGGER audit_update AFTER UPDATE ON app.stages FOR EACH ROW
    WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION public.note_change();
CREATE TRIGGER audit_update AFTER UPDATE ON app.tasks FOR EACH ROW
    WHEN ((OLD.status, OLD.attempt) <> (NEW.status, NEW.attempt)) EXECUTE FUNCTION public.note_change();
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON app.job_events
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse();
"""

CASES = [(view, cause) for view, causes in BROKEN.items() for cause in causes]


@pytest.mark.parametrize(("view", "cause"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_invariant_is_seen_and_no_other_is_blamed(world: World, view: str, cause: Cause) -> None:
    job_id = planned(world)
    assert world.violations() == {}
    cause(world, job_id)
    found = world.violations()
    assert list(found) == [view]
    if view not in ("invariant_8_unexplained_poison", "invariant_11_overdue_schedule"):
        assert {row["job_id"] for row in found[view]} == {job_id}


@pytest.mark.parametrize(
    "cause",
    [stall, end_a_lease_long_ago, lose_the_dispatches, forget_to_send_again],
    ids=lambda c: c.__name__,
)
def test_the_reconciler_mends_what_can_be_mended(world: World, cause: Cause) -> None:
    job_id = planned(world)
    cause(world, job_id)
    world.queues.lose_everything()
    assert world.violations() != {}
    world.engine.reconcile()
    assert world.violations() == {}
    if cause is not stall:  # its tasks have no greetings to reply to
        assert world.run(job_id)["status"] == "completed"
        assert world.violations() == {}


def test_a_job_that_stalled_while_it_was_planned_is_seen(world: World) -> None:
    job_id = world.submit("hello_world", n=1).job_id
    execute(world, "DELETE FROM app.outbox WHERE job_id = %s", job_id)
    assert world.violations() == {}
    execute(world, "UPDATE app.jobs SET updated_at = now() - interval '6 s' WHERE job_id = %s", job_id)
    assert list(world.violations()) == ["invariant_1_stalled_job"]
    # A planner that is at it is no stall.
    world.rows("SELECT * FROM app.claim_plan(%s, 1, 1, 'w', interval '1 minute', 5)", job_id)
    execute(world, "UPDATE app.jobs SET updated_at = now() - interval '6 s' WHERE job_id = %s", job_id)
    assert world.violations() == {}


def test_poison_that_was_recorded_is_explained(world: World) -> None:
    leave_poison(world, "")
    arrive(world, f"{world.settings.jobs_queue}-poison", "garbage", message_id="m")
    assert world.violations() == {}


def test_no_invariant_is_broken_at_any_step_of_a_jobs_life(world: World) -> None:
    # Slow enough to travel one by one, so that there are many steps to look between.
    slow: dict[str, Any] = {"sleep_seconds": 0.02}
    world.submit("hello_world", n=5, **slow)
    world.submit("hello_world", n=6, fail_fraction=0.5, **slow)
    world.submit("hello_world", n=7, fail_fraction=0.5, on_failure="continue", **slow)
    cancelled = world.submit("hello_world", n=8, **slow)
    order = random.Random(3)
    for step in range(10_000):
        assert world.violations() == {}
        if step == 12:
            world.engine.cancel(cancelled.job_id)
        if step % 9 == 0:
            world.engine.reconcile()
        queues = [world.settings.jobs_queue, world.settings.tasks_queue]
        for queue in order.sample(queues, 2):
            if message := world.queues.receive(queue, order):
                world.deliver(message, queue)
                break
        else:
            break
    states = sorted(row["status"] for row in world.rows("SELECT status FROM app.jobs"))
    assert states == ["cancelled", "completed", "completed_with_errors", "failed"]


def live_through_everything(world: World) -> None:
    """Jobs that take every transition there is."""

    def work(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if p["i"] == 1 and c.attempt == 1:
            raise OSError("once")
        if p["i"] == 2 and p["label"] != "good" and c.run == 1:
            raise PermanentTaskError("never")
        return {"i": p["i"], "label": p["label"]}

    stages = [StageDefinition("a", "work"), StageDefinition("b", "work", FailurePolicy.CONTINUE)]

    def plan(stage: int, p: Any, previous: Any) -> Any:
        common = {"label": p.label}
        if stage == 1:
            policy = FailurePolicy.CONTINUE if p.label == "lenient" else None
            return Tasks([{"i": i} for i in range(p.n)], common=common, on_failure=policy)
        return TasksFromResults({"i": "i"}, common=common)

    world.register(ScriptedJob("job", stages, plan), task_type("work", work))
    good, strict, lenient = (world.submit("job", label=x, n=4) for x in ("good", "strict", "lenient"))
    for job in (good, strict, lenient):
        world.run(job.job_id)
    assert [world.job(j.job_id)["status"] for j in (good, strict, lenient)] == [
        "completed",
        "failed",
        "completed_with_errors",
    ]
    world.engine.retry(strict.job_id, correlation_id="c")
    world.run(strict.job_id)
    world.submit("job", label="strict", n=4)
    assert world.run(strict.job_id)["status"] == "completed"
    early, midway, poisoned, dead = (world.submit("job", label=x, n=3) for x in ("e", "m", "p", "good"))
    world.engine.cancel(early.job_id)
    for job in (midway, poisoned, dead):
        arrive(
            world, world.settings.jobs_queue, JobMessage(job_id=job.job_id, run=1, stage=1).model_dump_json()
        )
    others = workers(world)
    for job, lease in ((midway, 0.2), (dead, 0.0)):
        others.claim(job.job_id, 1, 1, 0, 0, worker="dead", lease=timedelta(seconds=lease))
    time.sleep(0.01)
    others.claim(dead.job_id, 1, 1, 0, 0, worker="dead again", lease=timedelta(0))
    world.engine.cancel(midway.job_id)
    arrive(world, world.settings.tasks_queue, f"{poisoned.job_id}-1-1-1 is broken")
    arrive(world, world.settings.jobs_queue, str(well_formed(early.job_id)))
    for job in (early, midway, poisoned, dead):
        world.run(job.job_id)
    assert [world.job(j.job_id)["status"] for j in (early, midway, poisoned, dead)] == [
        "cancelled",
        "cancelled",
        "failed",
        "completed",
    ]
    world.engine.retry(midway.job_id, correlation_id="c")
    world.run(midway.job_id)


def test_every_transition_is_in_the_history_and_the_history_only_grows(world: World) -> None:
    world._admin.execute(AUDIT)
    live_through_everything(world)
    tasks = world.rows(
        "SELECT job_id, run, stage, task_index, CASE"
        "  WHEN new = 'processing' THEN 'claimed'"
        "  WHEN new = 'queued' AND old = 'processing' THEN 'requeued'"
        "  WHEN new = 'queued' THEN 'retried' ELSE new END AS what, count(*) AS n"
        " FROM audit WHERE kind = 'tasks' GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    )
    noted = world.rows(
        "SELECT e.job_id, e.run, e.stage, i AS task_index, CASE e.event"
        "  WHEN 'tasks_claimed' THEN 'claimed' WHEN 'tasks_retried' THEN 'requeued'"
        "  WHEN 'leases_lost' THEN replace(e.detail ->> 'now', 'queued', 'requeued')"
        "  WHEN 'job_retried' THEN 'retried' ELSE replace(e.event, 'tasks_', '') END AS what, count(*) AS n"
        " FROM app.job_events e, unnest(e.tasks) r, generate_series(lower(r), upper(r) - 1) AS i"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    )
    assert tasks == noted
    assert {row["what"] for row in tasks} == {
        *("claimed", "requeued", "retried", "completed", "failed", "cancelled")
    }
    jobs = world.rows(
        "SELECT job_id, run, CASE WHEN old IS NULL THEN 'submitted' WHEN new = 'queued' THEN 'run_submitted'"
        "  WHEN old = 'queued' AND new = 'processing' THEN 'job_started'"
        "  WHEN new = 'processing' THEN 'job_retried' ELSE 'job_' || new END AS event"
        " FROM audit WHERE kind = 'jobs' ORDER BY job_id, audit_id"
    )
    names = {row["event"] for row in jobs}
    assert names >= {"submitted", "run_submitted", "job_started", "job_retried", "job_cancelling"}
    assert jobs == world.rows(
        "SELECT job_id, run, event FROM app.job_events WHERE event = ANY (%s) ORDER BY job_id, event_id",
        sorted(names),
    )
    stages = world.rows(
        "SELECT job_id, run, stage,"
        "  CASE WHEN old IS NULL THEN 'stage_planned' ELSE 'stage_' || new END AS event"
        " FROM audit WHERE kind = 'stages' AND (old IS NULL OR new <> 'processing') ORDER BY job_id, audit_id"
    )
    assert stages == world.rows(
        "SELECT job_id, run, stage, event FROM app.job_events WHERE event LIKE 'stage_%%'"
        " ORDER BY job_id, event_id"
    )
    assert world.violations() == {}
