"""Ways to break each invariant, as a crash or other hands might."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from interfaces.queues import JobMessage
from repositories.database import Database
from repositories.tasks import TaskRepository
from tests.fix_engine import World

from .arrivals import arrive

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
    """The process died after the job was told to stop, an hour ago, and its messages are lost."""
    then = "now() - interval '1 h'"
    execute(
        world, f"UPDATE app.jobs SET status = 'cancelling', updated_at = {then} WHERE job_id = %s", job_id
    )
    execute(world, f"UPDATE app.tasks SET due_at = {then} WHERE job_id = %s", job_id)
    execute(world, "DELETE FROM app.outbox WHERE job_id = %s", job_id)


def fail_without_a_sweep(world: World, job_id: str) -> None:
    """The process died after a failure broke the stage's policy, an hour ago, and its messages are lost."""
    then = "now() - interval '1 h'"
    execute(world, f"UPDATE app.stages SET status = 'failing', failing_at = {then} WHERE job_id = %s", job_id)
    execute(world, f"UPDATE app.tasks SET due_at = {then} WHERE job_id = %s", job_id)
    execute(world, "DELETE FROM app.outbox WHERE job_id = %s", job_id)


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


def end_untold(world: World, job_id: str) -> None:
    # As if the end had been written by other hands, with nothing for who waits to be told.
    execute(
        world, "INSERT INTO app.run_subscribers VALUES (%s, 1, 'https://a.example/', '{cancelled}')", job_id
    )
    for table in ("tasks", "stages", "jobs"):
        execute(
            world,
            f"UPDATE app.{table} SET status = 'cancelled', completed_at = now() WHERE job_id = %s",
            job_id,
        )


def neglect_a_callback(world: World, job_id: str) -> None:
    execute(
        world,
        "INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, url, due_at)"
        " VALUES ('e', 'job.failed', %s, 1, '{}', now(), 'https://a.example/', now() - interval '61 min')",
        job_id,
    )


def forget_a_schedule(world: World, job_id: str) -> None:
    execute(
        world,
        "INSERT INTO app.schedules (name, cron, time_zone, job_type, parameters, next_at)"
        " VALUES (%s, '* * * * *', 'UTC', 'x', '{}', now() - interval '6 min')",
        job_id[:60],
    )


def forget_what_follows(world: World, job_id: str) -> None:
    execute(
        world,
        "INSERT INTO app.followers (job_id, run, digest, request, depth, due_at)"
        " VALUES (%s, 1, 'x', '{}', 1, now() - interval '6 min')",
        job_id,
    )


def wake_nobody(world: World, job_id: str) -> None:
    # Of a run that is no more.
    execute(
        world,
        "INSERT INTO app.followers (job_id, run, digest, request, depth) VALUES (%s, 0, 'x', '{}', 1)",
        job_id,
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
    "invariant_9_untold_end": [end_untold],
    "invariant_10_neglected_callback": [neglect_a_callback],
    "invariant_11_overdue_schedule": [forget_a_schedule],
    "invariant_12_forgotten_follower": [forget_what_follows, wake_nobody],
}
