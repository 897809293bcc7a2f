"""After how long a message counts as lost: longer after each loss, and after nothing but a loss."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from interfaces.errors import NotFound, ServiceUnavailable
from interfaces.plans import StageDefinition
from interfaces.queues import OutgoingMessage, PeekedMessage
from repositories.outbox import OutboxRepository
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

SOON, LONGEST = timedelta(seconds=30), timedelta(seconds=900)
HOLD = timedelta(seconds=20)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app with a planned job `job` of two tasks `work`, each with its own message."""
    world = make_world(run_at_once_seconds=0, redelivery_seconds=30, redelivery_max_seconds=900)
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


def passed(world: World) -> list[int]:
    """First tasks of the messages that are found lost; both were sent eight times, two minutes ago."""
    world.rows(
        "UPDATE app.outbox SET sends = 8, sent_at = now() - interval '2 minutes',"
        " not_before = now() - interval '1 hour', redeliver_at = now() + interval '15 minutes'",
        fetch=False,
    )
    world.engine.reconcile()
    lost = world.rows("SELECT first FROM app.outbox WHERE sent_at IS NULL ORDER BY first")
    return [row["first"] for row in lost]


def put(world: World, minutes_ago: float) -> None:
    """A message that was put into the queue of tasks so long ago, and nothing else."""
    name = world.settings.tasks_queue
    world.queues.lose_everything()
    world.queues.send([OutgoingMessage(queue=name, body="e30=")])
    [stored] = world.queues.queues[name]
    stored.inserted_at = datetime.now(UTC) - timedelta(minutes=minutes_ago)


def test_what_an_empty_queue_does_not_hold_is_lost_however_often_it_was_sent(world: World) -> None:
    world.queues.lose_everything()
    assert passed(world) == [0, 1]


def test_what_a_queue_has_passed_is_lost(world: World) -> None:
    put(world, minutes_ago=1)
    assert passed(world) == [0, 1]


def test_what_may_still_be_in_a_long_queue_is_not_sent_again(world: World) -> None:
    put(world, minutes_ago=1.8)
    assert passed(world) == []


def overdue(world: World, minutes_ago: float) -> list[int]:
    """First tasks of the messages that are sent again; all were sent so long ago, and it is time again."""
    world.rows(
        "UPDATE app.outbox SET sent_at = now() - %s * interval '1 minute',"
        " redeliver_at = now() - interval '1 s', not_before = now() - interval '1 hour'",
        minutes_ago,
        fetch=False,
    )
    world.engine.reconcile()
    lost = world.rows("SELECT first FROM app.outbox WHERE sent_at IS NULL ORDER BY first")
    return [row["first"] for row in lost]


def test_what_waits_in_its_queue_behind_older_messages_is_not_sent_again(world: World) -> None:
    put(world, minutes_ago=3)
    assert overdue(world, minutes_ago=2) == []
    [row] = world.rows("SELECT min(redeliver_at) > now() + interval '55 s' AS later FROM app.outbox")
    assert row["later"]


def test_what_stands_at_the_front_of_its_queue_may_be_lost_and_is_sent_again(world: World) -> None:
    put(world, minutes_ago=2)
    assert overdue(world, minutes_ago=2) == [0, 1]


def test_nothing_is_thought_to_wait_for_longer_than_the_longest_time_to_another_sending(world: World) -> None:
    put(world, minutes_ago=20)
    assert overdue(world, minutes_ago=16) == [0, 1]


def test_where_a_queue_cannot_be_seen_the_time_alone_decides(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[PeekedMessage]:
        raise ServiceUnavailable("away")

    put(world, minutes_ago=3)
    monkeypatch.setattr(world.queues, "peek", away)
    assert overdue(world, minutes_ago=2) == [0, 1]


def test_work_that_was_taken_up_is_not_sent_again_when_its_queue_has_passed_it(world: World) -> None:
    world.queues.lose_everything()
    assert claim(world, 0) == [0]
    assert passed(world) == [1]
    assert [row["first"] for row in world.rows("SELECT first FROM app.outbox")] == [1]


def test_what_is_delayed_is_not_lost_before_its_time(world: World) -> None:
    world.queues.lose_everything()
    world.rows(
        "UPDATE app.outbox SET sends = 1, sent_at = now() - interval '2 minutes',"
        " not_before = now() + interval '1 minute', redeliver_at = now() + interval '90 s'",
        fetch=False,
    )
    world.engine.reconcile()
    assert world.rows("SELECT 1 FROM app.outbox WHERE sent_at IS NULL") == []


def test_a_queue_that_is_gone_has_lost_everything_and_one_that_is_away_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(error: Exception) -> Callable[..., list[PeekedMessage]]:
        def peek(*_: object) -> list[PeekedMessage]:
            raise error

        return peek

    monkeypatch.setattr(world.queues, "peek", answer(ServiceUnavailable("away")))
    assert passed(world) == []
    monkeypatch.setattr(world.queues, "peek", answer(NotFound("gone")))
    assert passed(world) == [0, 1]
