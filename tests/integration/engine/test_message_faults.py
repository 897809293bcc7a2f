"""Messages repeated, reordered, hours late, about what is past or gone, or of no sense at all."""

from __future__ import annotations

import copy
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from interfaces.plans import StageDefinition
from tests.doubles.fuzzed_messages import MARKER, fuzzed, understood
from tests.doubles.memory_queues import Stored
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

from .arrivals import arrive

DELETE = """
DELETE FROM app.{} WHERE job_id = %s RETURNING 1
"""
TABLES = ("tasks", "stage_items", "stage_counters", "outbox", "job_events", "stages", "jobs")


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app in which every batch waits for its message."""
    return make_world(run_at_once_seconds=0)


def keep_messages(world: World) -> list[tuple[str, Stored]]:
    """Copies of everything that lies in the queues."""
    return [(name, copy.copy(m)) for name, messages in world.queues.queues.items() for m in messages]


def run_and_keep(world: World, job_id: str) -> list[tuple[str, Stored]]:
    """Run the job to its end; answers a copy of every message that travelled."""
    kept: dict[str, tuple[str, Stored]] = {}
    while world.job(job_id)["completed_at"] is None:
        kept |= {message.message_id: (queue, message) for queue, message in keep_messages(world)}
        for queue in (world.settings.jobs_queue, world.settings.tasks_queue):
            if message := world.queues.receive(queue):
                world.deliver(message, queue)
                break
    return list(kept.values())


def forget(world: World, job_id: str) -> None:
    """Delete the job by hand, with everything that belongs to it."""
    for table in TABLES:
        world.rows(DELETE.format(table), job_id)


def claims(world: World, job_id: str) -> int:
    return world.events(job_id).count("tasks_claimed")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_messages_in_any_order_and_each_several_times_change_nothing(world: World, seed: int) -> None:
    chance = random.Random(seed)
    jobs = {
        world.submit("hello_world", n=n, fail_fraction=fraction, on_failure="continue", name=f"{n}").job_id: n
        for n, fraction in ((1, 0), (30, 0), (30, 0.5), (400, 0), (7, 0.3))
    }
    world.pump(repeat=3, shuffle=chance)
    for job_id, n in jobs.items():
        assert world.job(job_id)["status"] in ("completed", "completed_with_errors")
        assert {task["attempt"] for task in world.tasks(job_id)} == {1}
        assert len(world.tasks(job_id, stage=1)) == n
    assert world.violations() == {}


def test_the_same_message_to_several_instances_at_the_same_moment_is_worked_on_once(world: World) -> None:
    engines = [world.new_engine() for _ in range(4)]
    done = Counter[tuple[str, int]]()
    lock = threading.Lock()

    def work(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        with lock:
            done[context.job_id, context.task_index] += 1
        return {}

    world.register(
        ScriptedJob("job", [StageDefinition("a", "work"), StageDefinition("b", "work")]),
        task_type("work", work),
    )
    jobs = [world.submit("job", n=3, label=str(i)).job_id for i in range(10)]
    while messages := [(q, m) for q in list(world.queues.queues) if (m := world.queues.receive(q))]:
        for queue, message in messages:
            at_once = threading.Barrier(len(engines))

            def deliver(
                engine: Any, queue: str = queue, message: Stored = message, at_once: Any = at_once
            ) -> None:
                at_once.wait(10)
                world.deliver(message, queue, engine)

            threads = [threading.Thread(target=deliver, args=(engine,)) for engine in engines]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
    assert {world.job(job_id)["status"] for job_id in jobs} == {"completed"}
    # Each task of both stages.
    assert set(done.values()) == {2}
    assert world.violations() == {}


def test_messages_that_come_hours_after_their_run_ended_do_nothing(world: World) -> None:
    job_id = world.submit("hello_world", n=40).job_id
    late = run_and_keep(world, job_id)
    assert len(late) == 3
    before, tasks, count = world.job(job_id), world.tasks(job_id), claims(world, job_id)
    for queue, message in late * 2:
        world.deliver(message, queue)
    assert (world.job(job_id), world.tasks(job_id), claims(world, job_id)) == (before, tasks, count)
    assert world.rows("SELECT 1 FROM app.poison_messages") == []
    assert world.violations() == {}


def test_messages_of_an_earlier_run_do_nothing_to_a_later_one(world: World) -> None:
    job_id = world.submit("hello_world", n=40).job_id
    late = run_and_keep(world, job_id)
    assert world.engine.rerun(job_id, correlation_id="again").run == 2
    while world.job(job_id)["completed_at"] is None:
        for queue, message in late:
            world.deliver(message, queue)
        assert {task["status"] for task in world.tasks(job_id) if task["run"] == 1} == {"completed"}
        for queue in (world.settings.jobs_queue, world.settings.tasks_queue):
            if message_now := world.queues.receive(queue):
                world.deliver(message_now, queue)
                break
    second = [task for task in world.tasks(job_id) if task["run"] == 2]
    assert len(second) == 80
    assert {task["attempt"] for task in second} == {1}
    assert world.violations() == {}


def test_messages_about_stages_and_runs_to_come_do_nothing_yet(world: World) -> None:
    job_id = world.submit("hello_world", n=40).job_id
    late = run_and_keep(world, job_id)
    early = world.submit("hello_world", n=40, name="early").job_id
    for run, stage in ((1, 2), (1, 3), (2, 1), (7, 9)):
        for queue, message in late:
            body = message.body.replace(job_id, early)
            body = body.replace('"run":1', f'"run":{run}').replace('"stage":1', f'"stage":{stage}')
            if f'"run":{run},"stage":{stage}' in body:
                arrive(world, queue, body)
    assert world.job(early)["status"] == "queued"
    assert world.tasks(early) == []
    assert world.run(early)["status"] == "completed"
    assert world.violations() == {}


def test_messages_about_a_job_that_was_deleted_are_hints_that_nothing_follows(world: World) -> None:
    other = world.submit("hello_world", n=3, name="other").job_id
    ended = world.submit("hello_world", n=40, name="ended").job_id
    late = run_and_keep(world, ended)
    waiting = world.submit("hello_world", n=40, name="waiting").job_id
    planned = world.submit("hello_world", n=400, name="planned").job_id
    while not world.tasks(planned):
        message = world.queues.receive(world.settings.jobs_queue)
        assert message is not None
        world.deliver(message, world.settings.jobs_queue)
    for job_id in (ended, waiting, planned):
        forget(world, job_id)
    for queue, message in late:
        world.deliver(message, queue)
    world.engine.reconcile()
    world.pump()
    assert world.job(other)["status"] == "completed"
    assert world.rows("SELECT 1 FROM app.poison_messages") == []
    for table in TABLES:
        left = world.rows(f"SELECT 1 FROM app.{table} WHERE job_id = ANY (%s)", [ended, waiting, planned])
        assert left == [], table
    assert world.violations() == {}


def test_a_job_may_be_deleted_while_its_handlers_run(world: World) -> None:
    def deletes(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        if context.task_index == 1:
            forget(world, context.job_id)
        return {}

    world.register(
        ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", deletes, max_batch=9)
    )
    gone = world.submit("job", n=3).job_id
    world.pump()
    assert world.rows("SELECT 1 FROM app.jobs WHERE job_id = %s", gone) == []
    world.engine.reconcile()
    assert world.rows("SELECT 1 FROM app.outbox") == []
    # It can be asked for again.
    assert world.submit("job", n=3).created
    assert world.violations() == {}


def test_no_fuzzed_message_is_dropped_or_blocks_the_queue_and_none_is_logged_at_length(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    queues = (world.settings.jobs_queue, world.settings.tasks_queue)
    unreadable = 0
    with caplog.at_level(logging.DEBUG):
        for number, text in enumerate(islice(fuzzed(random.Random(5)), 600)):
            of_tasks = number % 2 == 1
            unreadable += not understood(text, of_tasks=of_tasks)
            arrive(world, queues[of_tasks], text)
        job_id = world.submit("hello_world", n=3).job_id
        world.pump()
    assert world.job(job_id)["status"] == "completed"
    rows = world.rows("SELECT raw, reason, action FROM app.poison_messages")
    assert len(rows) == unreadable > 400
    assert {row["action"] for row in rows} <= {"recorded", "failed"}
    assert max(len(row["raw"]) for row in rows) == 1000
    assert MARKER not in str(rows)
    assert MARKER not in caplog.text
    assert world.violations() == {}
