"""After how long a message counts as lost: longer after each loss, and after nothing but a loss."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from interfaces.plans import StageDefinition
from repositories.outbox import OutboxRepository
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

SOON, LONGEST = timedelta(seconds=30), timedelta(seconds=900)
HOLD = timedelta(seconds=20)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app with a planned job `job` of two tasks `work`, each with its own message."""
    world = make_world(run_at_once_seconds=0)
    definition = task_type("work", lambda p, c: {}, expected_duration=timedelta(seconds=5))
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), definition)
    world.submit("job", n=2)
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    assert len(world.rows("SELECT 1 FROM app.outbox WHERE queue = 'tasks'")) == 2
    return world


def send(world: World) -> None:
    """The relay sends what is pending."""
    outbox = OutboxRepository(world.databases[0])
    taken = [dispatch.dispatch_id for dispatch in outbox.take(None, 10, HOLD)]
    outbox.mark_sent(taken, SOON, LONGEST)


def claim(world: World, index: int, worker: str = "w") -> list[int]:
    job_id = world.rows("SELECT job_id FROM app.jobs")[0]["job_id"]
    claimed = TaskRepository(world.databases[0]).claim(
        job_id, 1, 1, index, index, worker=worker, lease=timedelta(minutes=10)
    )
    return [task.task_index for task in claimed]


def redelivered_in(world: World, index: int) -> float:
    """Seconds from its due time after which the message about this task counts as lost."""
    [row] = world.rows(
        "SELECT extract(epoch FROM redeliver_at - greatest(sent_at, not_before))::float AS s"
        " FROM app.outbox WHERE first = %s",
        index,
    )
    return float(row["s"])


def test_each_loss_doubles_the_time(world: World) -> None:
    world.rows("UPDATE app.outbox SET sends = 0, sent_at = NULL, redeliver_at = NULL", fetch=False)
    times = []
    for _ in range(7):
        send(world)
        times.append(round(redelivered_in(world, 1)))
        world.rows("UPDATE app.outbox SET redeliver_at = now() - interval '1 s'", fetch=False)
        world.engine.reconcile()
    assert times == [30, 60, 120, 240, 480, 900, 900]


def test_a_suspect_that_was_put_back_was_not_lost(world: World) -> None:
    world.rows("UPDATE app.tasks SET suspicion = 2", fetch=False)
    assert claim(world, 0) == [0]
    for _ in range(8):
        send(world)
        assert claim(world, 1) == []
    send(world)
    assert redelivered_in(world, 1) == pytest.approx(30, abs=1)


def test_a_message_without_room_was_not_lost(world: World) -> None:
    world.rows("INSERT INTO app.concurrency_limits VALUES ('task:work', 1)", fetch=False)
    assert claim(world, 0) == [0]
    for _ in range(8):
        send(world)
        assert claim(world, 1) == []
        # Whoever let it go thought there was room.
        world.rows("UPDATE app.outbox SET parked = NULL WHERE first = 1", fetch=False)
    send(world)
    assert redelivered_in(world, 1) == pytest.approx(30, abs=1)


def test_what_is_let_go_was_not_lost(world: World) -> None:
    world.rows(
        "UPDATE app.outbox SET sends = 8, parked = 'task:work', sent_at = NULL, redeliver_at = NULL",
        fetch=False,
    )
    world.rows("SELECT app.unpark('task:work')")
    send(world)
    assert redelivered_in(world, 1) == pytest.approx(30, abs=1)


def test_a_job_that_may_not_start_was_not_lost(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    world.submit("job")
    world.rows("UPDATE app.outbox SET sends = 8", fetch=False)
    world.engine.limits.set("job", "job", 0)
    world.pump()
    assert world.rows("SELECT sends, parked FROM app.outbox") == [{"sends": 0, "parked": "job:job"}]


def test_a_message_may_be_sent_any_number_of_times(world: World) -> None:
    world.rows("UPDATE app.outbox SET sends = 32767, sent_at = NULL, redeliver_at = NULL", fetch=False)
    send(world)
    assert redelivered_in(world, 1) == pytest.approx(900, abs=1)
