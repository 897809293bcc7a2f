"""Queues that cannot be reached, or are gone: submissions are answered at once, and the timer catches up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import engine.relay
from interfaces.errors import ServiceUnavailable
from interfaces.queues import OutgoingMessage
from local.stack.azurite import connection_string
from local.stack.ports import free_ports
from repositories.queues import AzureQueueRepository
from repositories.storage_account import StorageAccount
from tests.fix_engine import World


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app in which every batch waits for its message."""
    return make_world(run_at_once_seconds=0)


def test_only_the_first_submission_waits_for_a_queue_that_cannot_be_reached(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def unreachable(messages: list[OutgoingMessage], within: float) -> list[BaseException | None]:
        attempts.append(len(messages))
        return [ServiceUnavailable("storage cannot be reached") for _ in messages]

    with monkeypatch.context() as outage:
        outage.setattr(world.queues, "send", unreachable)
        jobs = [world.submit("hello_world", n=3, name=str(i)).job_id for i in range(5)]
        assert attempts == [1]
        # The timer tries whatever happened before.
        assert world.engine.relay() == 0
        assert attempts == [1, 5]
    assert world.queues.length(world.settings.jobs_queue) == 0
    assert world.engine.relay() == 5
    # From then on everybody sends again.
    jobs.append(world.submit("hello_world", n=3, name="afterwards").job_id)
    assert world.queues.length(world.settings.jobs_queue) == 6
    assert {world.run(job_id)["status"] for job_id in jobs} == {"completed"}
    assert world.violations() == {}


def test_a_queue_is_tried_again_after_a_pause_without_the_timer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.relay, "PAUSE_SECONDS", 0.1)
    world.queues.broken = True
    world.submit("hello_world", name="first")
    world.queues.broken = False
    time.sleep(0.15)
    world.submit("hello_world", name="second")
    assert world.queues.length(world.settings.jobs_queue) == 1


def test_queues_that_were_deleted_are_made_anew(world: World) -> None:
    job_id = world.submit("hello_world", n=40).job_id
    world.queues.queues.clear()
    other = world.submit("hello_world", n=40, name="other").job_id
    assert world.queues.length(world.settings.jobs_queue) == 0
    assert world.engine.relay() == 1
    while world.job(other)["status"] == "queued":
        message = world.queues.receive(world.settings.jobs_queue)
        assert message is not None
        # The tasks queue is missing still.
        world.deliver(message, world.settings.jobs_queue)
    assert world.run(other)["status"] == "completed"
    assert world.run(job_id)["status"] == "completed"
    assert world.violations() == {}


def test_a_storage_that_is_away_is_noticed_within_seconds() -> None:
    queues = AzureQueueRepository(StorageAccount(connection_string(*free_ports(3))))
    began = time.monotonic()
    [failure] = queues.send([OutgoingMessage(queue="jobs", body="{}")])
    assert isinstance(failure, ServiceUnavailable)
    # With the patience that blobs are read with it would be twenty.
    assert time.monotonic() - began < 10
