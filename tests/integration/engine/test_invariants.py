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
from repositories.database import Database
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

from .arrivals import arrive
from .malformed import well_formed

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

Cause = Callable[[World, str], object]


def planned(world: World, n: int = 2) -> str:
    """A job whose first stage is planned and whose messages wait."""
    job_id = world.submit("hello_world", n=n).job_id
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    return job_id


def workers(world: World) -> TaskRepository:
    """Takes tasks as another process does."""
    world.databases.append(Database(world.settings))
    return TaskRepository(world.databases[-1])


def claim(world: World, job_id: str, last: int = 0) -> None:
    """A worker takes tasks and is not heard of again."""
    assert workers(world).claim(job_id, 1, 1, 0, last, worker="dead", lease=timedelta(minutes=5))


def execute(world: World, statement: str, *parameters: object) -> None:
    assert world.rows(f"{statement} RETURNING 1", *parameters) != [], "the statement changed nothing"


def stall(world: World, job_id: str) -> None:
    """The last task ended, and whoever should have advanced the job was killed; so was its message."""
    world.rows(
        "UPDATE app.tasks SET status = 'completed', result = '{}', completed_at = now() - interval '10 s'"
        " WHERE job_id = %s RETURNING 1",
        job_id,
    )
    execute(world, "DELETE FROM app.outbox WHERE job_id = %s", job_id)
    execute(world, "UPDATE app.jobs SET updated_at = now() - interval '6 s' WHERE job_id = %s", job_id)


def stall_behind_old_messages(world: World, job_id: str) -> None:
    """The same, but the messages of the finished tasks are still noted, and overdue."""
    world.rows(
        "UPDATE app.tasks SET status = 'completed', result = '{}', completed_at = now() - interval '1 h'"
        " WHERE job_id = %s RETURNING 1",
        job_id,
    )
    execute(
        world,
        "UPDATE app.outbox SET sent_at = now() - interval '1 h', redeliver_at = now() - interval '59 min'"
        " WHERE job_id = %s",
        job_id,
    )
    execute(world, "UPDATE app.jobs SET updated_at = now() - interval '1 h' WHERE job_id = %s", job_id)


def lose_the_message_of_a_job(world: World, job_id: str) -> None:
    """The stage ended, the job moved on, and its message was sent and lost."""
    stall(world, job_id)
    execute(
        world, "UPDATE app.stages SET status = 'completed', completed_at = now() WHERE job_id = %s", job_id
    )
    execute(world, "UPDATE app.jobs SET stage = 2 WHERE job_id = %s", job_id)
    execute(
        world,
        "INSERT INTO app.outbox (queue, job_id, run, stage, sent_at, redeliver_at)"
        " VALUES ('jobs', %s, 1, 2, now() - interval '1 h', now() - interval '59 min')",
        job_id,
    )


def cancel_without_a_sweep(world: World, job_id: str) -> None:
    """The process died after the job was told to stop, an hour ago."""
    then = "now() - interval '1 h'"
    execute(
        world, f"UPDATE app.jobs SET status = 'cancelling', updated_at = {then} WHERE job_id = %s", job_id
    )
    execute(world, f"UPDATE app.tasks SET due_at = {then} WHERE job_id = %s", job_id)


def fail_without_a_sweep(world: World, job_id: str) -> None:
    """The process died after a failure broke the stage's policy, an hour ago."""
    then = "now() - interval '1 h'"
    execute(world, f"UPDATE app.stages SET status = 'failing', failing_at = {then} WHERE job_id = %s", job_id)
    execute(world, f"UPDATE app.tasks SET due_at = {then} WHERE job_id = %s", job_id)


def end_without_its_tasks(world: World, job_id: str) -> None:
    execute(world, "UPDATE app.jobs SET status = 'cancelled', completed_at = now() WHERE job_id = %s", job_id)


def start_a_run_over_unfinished_tasks(world: World, job_id: str) -> None:
    execute(world, "UPDATE app.jobs SET run = 2, status = 'queued' WHERE job_id = %s", job_id)


def end_a_lease_long_ago(world: World, job_id: str) -> None:
    claim(world, job_id)
    execute(
        world,
        "UPDATE app.tasks SET lease_until = now() - interval '31 s'"
        " WHERE job_id = %s AND status = 'processing'",
        job_id,
    )


def lose_the_dispatches(world: World, job_id: str) -> None:
    execute(world, "DELETE FROM app.outbox WHERE job_id = %s", job_id)
    execute(world, "UPDATE app.tasks SET due_at = now() - interval '31 s' WHERE job_id = %s", job_id)


def forget_to_send_again(world: World, job_id: str) -> None:
    execute(
        world,
        "UPDATE app.outbox SET sent_at = now() - interval '1 h', redeliver_at = now() - interval '31 s'"
        " WHERE job_id = %s",
        job_id,
    )
    execute(world, "UPDATE app.tasks SET due_at = now() - interval '31 s' WHERE job_id = %s", job_id)


def lose_a_task(world: World, job_id: str) -> None:
    execute(world, "DELETE FROM app.tasks WHERE job_id = %s AND task_index = 1", job_id)


def gain_a_task(world: World, job_id: str) -> None:
    execute(
        world,
        "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters) VALUES (%s, 1, 1, 2, '{}')",
        job_id,
    )


def _end_task(world: World, job_id: str, status: str) -> None:
    found = world.rows(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'app.tasks'::regclass AND contype = 'c'"
    )
    for constraint in found:
        world._admin.execute(f"ALTER TABLE app.tasks DROP CONSTRAINT {constraint['conname']}")
    execute(
        world,
        "UPDATE app.tasks SET status = %s::app.task_status WHERE job_id = %s AND task_index = 0",
        status,
        job_id,
    )


def complete_without_a_result(world: World, job_id: str) -> None:
    _end_task(world, job_id, "completed")


def fail_without_an_error(world: World, job_id: str) -> None:
    _end_task(world, job_id, "failed")


def run_ahead(world: World, job_id: str) -> None:
    execute(
        world,
        "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status) "
        "VALUES (%s, 1, 2, 0, '{}', 'cancelled')",
        job_id,
    )


def leave_poison(world: World, job_id: str) -> None:
    execute(
        world,
        "INSERT INTO app.poison_queue_sightings"
        " VALUES ('geospatial-jobs-poison', 'm', now() - interval '31 s')",
    )


BROKEN: dict[str, list[Cause]] = {
    "invariant_1_stalled_job": [stall, stall_behind_old_messages, lose_the_message_of_a_job],
    "invariant_2_unfinished_task_of_terminal_job": [end_without_its_tasks, start_a_run_over_unfinished_tasks],
    "invariant_3_ended_lease": [end_a_lease_long_ago],
    "invariant_4_undispatched_task": [
        lose_the_dispatches,
        forget_to_send_again,
        cancel_without_a_sweep,
        fail_without_a_sweep,
    ],
    "invariant_5_task_count": [lose_a_task, gain_a_task],
    "invariant_6_missing_outcome": [complete_without_a_result, fail_without_an_error],
    "invariant_7_task_of_later_stage": [run_ahead],
    "invariant_8_unexplained_poison": [leave_poison],
}
CASES = [(view, cause) for view, causes in BROKEN.items() for cause in causes]


@pytest.mark.parametrize(("view", "cause"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_invariant_is_seen_and_no_other_is_blamed(world: World, view: str, cause: Cause) -> None:
    job_id = planned(world)
    assert world.violations() == {}
    cause(world, job_id)
    found = world.violations()
    assert list(found) == [view]
    if view != "invariant_8_unexplained_poison":
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
