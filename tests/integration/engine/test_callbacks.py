"""Callbacks: written with what happened, sent at least once, and nobody waits for anybody's server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

from interfaces.callbacks import CallbackRequest, Delivery, Kind, NewSubscription
from interfaces.errors import InvalidRequest, NotFound, PermanentTaskError, UnknownJobType
from interfaces.jobs import Submitted
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy
from repositories.callbacks import CallbackRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

SECRET = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
HOOK = "https://a.example.org/hook"
OTHER = "https://b.example.org/hook"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """An app that may call hosts of example.org."""
    made = make_world(callback_hosts="*.example.org", callback_secret=SECRET, callback_max_attempts=3)
    made.register(
        ScriptedJob("job", [StageDefinition("a", "work"), StageDefinition("b", "work")]),
        task_type("work", lambda p, c: {}),
    )
    return made


def submit(world: World, url: str, *kinds: Kind, job_type: str = "job", rerun: bool = False) -> Submitted:
    callback = CallbackRequest(url=url, events=list(kinds)) if kinds else CallbackRequest(url=url)
    return world.engine.submit(job_type, {}, rerun=rerun, correlation_id="test", callback=callback)


def written(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM app.callbacks ORDER BY callback_id")


def told(world: World) -> list[tuple[str, str]]:
    return [(row["url"], row["event_type"]) for row in written(world)]


def fall_due(world: World) -> None:
    world.rows("UPDATE app.callbacks SET due_at = now(), taken_until = now() - interval '1 s'", fetch=False)


def test_ends_of_stages_and_of_the_job_are_told_in_the_order_they_are_written(world: World) -> None:
    job = submit(world, HOOK)
    world.run(job.job_id)
    assert world.engine.callbacks.deliver() == 3
    received = world.receiver.received
    assert [one.event_type for one in received] == ["stage.completed", "stage.completed", "job.completed"]
    assert received[0].data == {
        "job_id": job.job_id,
        "job_type": "job",
        "run": 1,
        "stage": 1,
        "stage_key": "a",
        "total_stages": 2,
        "status": "completed",
        "error": None,
        "task_count": 1,
        "completed": 1,
        "failed": 0,
    }
    end = {"job_id": job.job_id, "job_type": "job", "run": 1, "status": "completed", "error": None}
    assert received[2].data == end
    assert {one.secret for one in received} == {None}
    assert len({one.event_id for one in received}) == 3
    assert world.engine.callbacks.deliver() == 0
    assert all(row["delivered_at"] and row["last_status"] == 204 for row in written(world))
    assert world.violations() == {}


def test_a_failure_is_told_with_its_error_and_a_retry_tells_a_new_end(world: World) -> None:
    broken = [True]

    def work(p: dict[str, Any], c: object) -> dict[str, Any]:
        if broken:
            raise PermanentTaskError("the file is broken")
        return {}

    world.register(ScriptedJob("fails", [StageDefinition("a", "fragile")]), task_type("fragile", work))
    job = submit(world, HOOK, "failed", "completed", job_type="fails")
    world.run(job.job_id)
    broken.clear()
    world.engine.retry(job.job_id, correlation_id="test")
    world.run(job.job_id)
    world.engine.callbacks.deliver()
    failed, completed = world.receiver.received
    assert (failed.event_type, completed.event_type) == ("job.failed", "job.completed")
    assert "the file is broken" in str(failed.data["error"])
    assert failed.event_id != completed.event_id
    assert world.violations() == {}


def test_errors_that_a_stage_bears_are_told_as_completion(world: World) -> None:
    def work(p: dict[str, Any], c: object) -> dict[str, Any]:
        raise PermanentTaskError("no")

    stage = StageDefinition("a", "fragile", on_failure=FailurePolicy.CONTINUE)
    world.register(ScriptedJob("lenient", [stage]), task_type("fragile", work))
    job = submit(world, HOOK, "completed", job_type="lenient")
    assert world.run(job.job_id)["status"] == "completed_with_errors"
    assert told(world) == [(HOOK, "job.completed_with_errors")]
    assert world.violations() == {}


def test_a_cancellation_is_told(world: World) -> None:
    job = submit(world, HOOK, "cancelled")
    world.engine.cancel(job.job_id)
    assert told(world) == [(HOOK, "job.cancelled")]


def test_asking_again_adds_who_is_to_be_told_and_no_job(world: World) -> None:
    first, second, again = (submit(world, url, "completed") for url in (HOOK, OTHER, HOOK))
    assert (first.created, second.created, again.created) == (True, False, False)
    assert first.job_id == second.job_id == world.submit("job").job_id
    world.run(first.job_id)
    assert sorted(told(world)) == [(HOOK, "job.completed"), (OTHER, "job.completed")]
    assert len({row["event_id"] for row in written(world)}) == 1


def test_who_asks_after_the_end_is_told_at_once_under_the_same_name(world: World) -> None:
    job = submit(world, HOOK)
    world.run(job.job_id)
    assert not submit(world, OTHER).created
    assert not submit(world, OTHER).created
    ends = [row for row in written(world) if row["event_type"] == "job.completed"]
    assert [row["url"] for row in ends] == [HOOK, OTHER]
    assert len({row["event_id"] for row in ends}) == 1
    assert world.violations() == {}


def test_who_asks_for_more_at_the_same_url_is_told_of_that_too(world: World) -> None:
    job = submit(world, HOOK, "stage")
    submit(world, HOOK, "completed")
    world.run(job.job_id)
    assert told(world) == [(HOOK, "stage.completed")] * 2 + [(HOOK, "job.completed")]
    submit(world, OTHER, "stage")
    assert len(told(world)) == 3
    submit(world, OTHER, "completed")
    submit(world, OTHER, "completed", "stage")
    assert told(world)[3:] == [(OTHER, "job.completed")]


def test_a_callback_is_about_the_run_that_was_asked_for(world: World) -> None:
    job = submit(world, HOOK, "completed")
    world.run(job.job_id)
    submit(world, OTHER, "completed", rerun=True)
    world.run(job.job_id)
    assert [(row["url"], row["run"]) for row in written(world)] == [(HOOK, 1), (OTHER, 2)]


def test_a_subscription_is_told_of_its_type_and_signs_with_its_secret(world: World) -> None:
    callbacks = world.engine.callbacks
    world.register(ScriptedJob("another", [StageDefinition("a", "work")]))
    one = callbacks.subscribe(NewSubscription(job_type="job", url=HOOK, events=["completed"], secret=SECRET))
    all_types = callbacks.subscribe(NewSubscription(url=OTHER, events=["completed"], secret=SECRET))
    assert callbacks.subscriptions() == [one, all_types]
    assert "MfKQ9r8" not in repr((one, all_types))
    for job_type in ("job", "another"):
        world.run(world.submit(job_type).job_id)
    assert sorted(told(world)) == [(HOOK, "job.completed"), *[(OTHER, "job.completed")] * 2]
    callbacks.deliver()
    assert {received.secret for received in world.receiver.received} == {SECRET.get_secret_value()}


def test_without_its_subscription_nothing_waits_and_nothing_comes_after(world: World) -> None:
    callbacks = world.engine.callbacks
    gone = callbacks.subscribe(NewSubscription(url=HOOK, events=["completed"], secret=SECRET))
    job = world.submit("job")
    world.run(job.job_id)
    # One that was written while the subscription was being deleted.
    [row] = written(world)
    callbacks.unsubscribe(gone.subscription_id)
    assert written(world) == []
    world.rows(
        "INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, url,"
        " subscription_id) VALUES ('e', 'job.completed', %s, 1, '{}', now(), %s, %s)",
        *(job.job_id, HOOK, row["subscription_id"]),
        fetch=False,
    )
    assert callbacks.deliver() == 0
    assert written(world) == []
    with pytest.raises(NotFound):
        callbacks.unsubscribe(gone.subscription_id)


def test_what_a_receiver_refuses_comes_again_under_the_same_name_and_is_given_up_at_last(
    world: World,
) -> None:
    job = submit(world, HOOK, "completed")
    world.run(job.job_id)
    # Not at once, as chance would have it now and then.
    world.receiver.answer = lambda callback: Delivery("retry", 500, "answered 500", retry_after=60)
    for attempt in (1, 2, 3):
        assert world.engine.callbacks.deliver() == 1
        [row] = written(world)
        assert (row["attempts"], row["last_status"], row["delivered_at"]) == (attempt, 500, None)
        assert (row["dead_at"] is not None) == (attempt == 3)
        if attempt < 3:
            world.rows("UPDATE app.callbacks SET due_at = now()", fetch=False)
    assert len({one.event_id for one in world.receiver.received}) == 1
    fall_due(world)
    assert world.engine.callbacks.deliver() == 0
    dead, _ = world.engine.callbacks.listed("dead", None, after=None, limit=10)
    assert [one["last_error"] for one in dead] == ["answered 500"]


def test_a_dead_letter_is_sent_again_when_somebody_asks(world: World) -> None:
    job = submit(world, HOOK, "completed")
    world.run(job.job_id)
    world.receiver.answer = lambda callback: Delivery("dead", 410, "gone")
    world.engine.callbacks.deliver()
    [row] = written(world)
    world.receiver.answer = lambda callback: Delivery("delivered", 200)
    world.engine.callbacks.resend(row["callback_id"])
    assert world.engine.callbacks.deliver() == 1
    assert written(world)[0]["delivered_at"] is not None
    with pytest.raises(NotFound):
        world.engine.callbacks.resend(10**12)


def test_a_receiver_may_ask_for_a_pause(world: World) -> None:
    job = submit(world, HOOK, "completed")
    world.run(job.job_id)
    world.receiver.answer = lambda callback: Delivery("retry", 503, "answered 503", retry_after=3600)
    world.engine.callbacks.deliver()
    [row] = world.rows("SELECT due_at > now() + interval '59 min' AS later FROM app.callbacks")
    assert row["later"]


def test_a_sender_that_dies_is_followed_by_another(world: World) -> None:
    job = submit(world, HOOK, "completed")
    world.run(job.job_id)
    repository = CallbackRepository(world.databases[0])

    def take() -> Any:
        return repository.take([], per_host=4, limit=10, hold=timedelta(minutes=1), max_attempts=3)

    [dead] = take()
    assert take() == []
    assert world.engine.callbacks.deliver() == 0
    fall_due(world)
    [alive] = take()
    assert (alive.event_id, alive.attempts) == (dead.event_id, 2)
    # What the dead one has to say, should it be only slow, does not count any more.
    assert not repository.settle(dead, Delivery("dead"), 0)
    assert repository.settle(alive, Delivery("delivered", 200), 0)


def test_a_callback_that_kills_every_sender_is_given_up(world: World) -> None:
    job = submit(world, HOOK, "completed")
    world.run(job.job_id)
    repository = CallbackRepository(world.databases[0])
    for _ in range(3):
        assert repository.take([], per_host=4, limit=10, hold=timedelta(0), max_attempts=3)
        fall_due(world)
    assert repository.take([], per_host=4, limit=10, hold=timedelta(0), max_attempts=3) == []
    [row] = written(world)
    assert row["dead_at"] is not None
    assert "its senders died" in row["last_error"]


def test_a_host_that_hangs_keeps_no_other_waiting(world: World) -> None:
    def fill(host: str, count: int) -> None:
        world.rows(
            "INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, url)"
            " SELECT %s || i, 'job.completed', repeat('a', 64), 1, '{}', now(), %s"
            " FROM generate_series(1, %s) AS i",
            *(host, f"https://{host}/", count),
            fetch=False,
        )

    fill("a.example.org", 300)
    fill("b.example.org", 20)
    receiver = world.receiver
    receiver.hanging = {"a.example.org"}

    def sent_to_b() -> int:
        return sum(one.host == "b.example.org" for one in receiver.received)

    receiver.let_go = lambda: sent_to_b() == 20
    assert world.engine.callbacks.deliver() == 320
    assert receiver.at_once <= 8, "four to each host"
    assert sent_to_b() == 20
    assert [one.host for one in receiver.received[:20]] == ["b.example.org"] * 20


def test_an_end_waits_for_nobody_who_is_being_told(world: World) -> None:
    job = submit(world, HOOK)
    with world.databases[0].transaction() as connection:
        # Whatever a sender or an operator holds of callbacks and subscriptions.
        connection.execute("SELECT * FROM app.callbacks FOR UPDATE")
        connection.execute(
            "INSERT INTO app.subscriptions (url, events, secret) VALUES ('https://x/', '{stage}', 'x')"
        )
        world.databases.append(world._database())
        assert world.run(job.job_id)["status"] == "completed"


def test_an_address_that_would_keep_a_run_from_ending_is_not_even_kept(world: World) -> None:
    for table in (
        "run_subscribers (job_id, run, url, events)",
        "subscriptions (job_type, secret, url, events)",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            world.rows(
                f"INSERT INTO app.{table} VALUES ('a', 1, 'HTTPS://a.example/', '{{stage}}')", fetch=False
            )


def test_a_submission_that_fails_adds_nobody(world: World) -> None:
    with pytest.raises(InvalidRequest, match="callback_url: its host is not among"):
        submit(world, "https://example.com/")
    assert world.rows("SELECT 1 FROM app.jobs") == world.rows("SELECT 1 FROM app.run_subscribers") == []


def test_without_a_secret_nobody_is_promised_a_callback(make_world: Callable[..., World]) -> None:
    for secret in ("", "whsec_short", "hunter2"):
        world = make_world(callback_hosts="*.example.org", callback_secret=SecretStr(secret))
        with pytest.raises(InvalidRequest, match="callback_url: cannot be signed"):
            submit(world, HOOK, job_type="hello_world")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"job_type": "nothing"}, UnknownJobType),
        ({"url": "http://a.example.org/"}, InvalidRequest),
        ({"secret": SecretStr("whsec_short")}, InvalidRequest),
    ],
)
def test_a_bad_subscription_is_refused(world: World, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        world.engine.callbacks.subscribe(
            NewSubscription.model_validate({"url": HOOK, "secret": SECRET} | wrong)
        )
    assert world.engine.callbacks.subscriptions() == []
    with pytest.raises(NotFound):
        world.engine.callbacks.unsubscribe(uuid4())


def test_removed_runs_leave_what_is_still_to_be_told(world: World) -> None:
    job = submit(world, HOOK, "completed")
    other = submit(world, OTHER, "completed", job_type="hello_world")
    for one in (job, other):
        world.run(one.job_id)
    world.receiver.answer = lambda c: Delivery("delivered") if c.url == OTHER else Delivery("retry")
    world.engine.callbacks.deliver()
    for table in ("jobs", "callbacks"):
        column = "completed_at" if table == "jobs" else "delivered_at"
        world.rows(
            f"UPDATE app.{table} SET {column} = {column} - interval '91 days' WHERE {column} IS NOT NULL",
            fetch=False,
        )
    world.engine.retention.run()
    assert world.rows("SELECT 1 FROM app.jobs") == world.rows("SELECT 1 FROM app.run_subscribers") == []
    assert [row["url"] for row in written(world)] == [HOOK]
