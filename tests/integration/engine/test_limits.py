"""Limits of concurrency: never more at once than allowed, and nothing forgotten that waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from interfaces.errors import InvalidRequest, NotFound, PermanentTaskError, UnknownJobType
from interfaces.jobs import TaskReport
from interfaces.plans import StageDefinition, Tasks
from interfaces.states import TaskStatus
from repositories.jobs import JobRepository
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


class Gauge:
    """How many handlers run at once, and the most that ever did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.total = 0

    def __call__(self, p: dict[str, Any], c: Any) -> dict[str, Any]:
        with self._lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self._lock:
            self.now -= 1
        return {}


@pytest.fixture
def gauge(world: World) -> Gauge:
    """A job type `job` of one stage of tasks `work`."""
    found = Gauge()
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", found))
    return found


def _pump_at_once(world: World, threads: int = 8, seconds: float = 30) -> None:
    """Deliver messages from several threads, with the timers running, until every job has ended."""
    over = threading.Event()

    def pump() -> None:
        while not over.is_set():
            world.pump()
            time.sleep(0.005)

    pool = [threading.Thread(target=pump) for _ in range(threads)]
    for thread in pool:
        thread.start()
    end = time.monotonic() + seconds
    live = [{"n": 1}]
    while live[0]["n"] and time.monotonic() < end:
        time.sleep(0.05)
        live = world.rows("SELECT count(*) AS n FROM app.jobs WHERE completed_at IS NULL")
    over.set()
    for thread in pool:
        thread.join()
    assert live == [{"n": 0}]


def _parked(world: World) -> int:
    return int(world.rows("SELECT count(*) AS n FROM app.outbox WHERE parked IS NOT NULL")[0]["n"])


def test_no_more_tasks_of_a_type_run_at_once_than_allowed(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("task", "work", 3)
    jobs = [world.submit("job", label=str(i), n=20) for i in range(3)]
    _pump_at_once(world)
    assert gauge.total == 60
    assert gauge.most == 3
    assert {world.job(job.job_id)["status"] for job in jobs} == {"completed"}
    assert _parked(world) == 0
    assert world.violations() == {}


def test_no_more_jobs_of_a_type_run_at_once_than_allowed(world: World, gauge: Gauge) -> None:
    most = 0
    world.engine.limits.set("job", "job", 2)
    jobs = [world.submit("job", label=str(i), n=4) for i in range(8)]
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.is_set():
            [row] = watched.rows("SELECT count(*) AS n FROM app.jobs WHERE status = 'processing'")
            most = max(most, row["n"])

    watched = World(world.settings.database_url.get_secret_value())
    watcher = threading.Thread(target=watch)
    watcher.start()
    _pump_at_once(world)
    over.set()
    watcher.join()
    watched.close()
    assert most == 2
    assert gauge.total == 32
    assert {world.job(job.job_id)["status"] for job in jobs} == {"completed"}
    assert _parked(world) == 0
    assert world.violations() == {}


def test_jobs_that_wait_start_in_the_order_in_which_they_came(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("job", "job", 1)
    jobs = [world.submit("job", label=str(i)).job_id for i in range(5)]
    for _ in range(50):
        world.pump()
    started = world.rows("SELECT job_id FROM app.job_events WHERE event = 'job_started' ORDER BY event_id")
    assert [row["job_id"] for row in started] == jobs
    assert all(world.events(job).count("job_waits") <= 1 for job in jobs)


def test_a_limit_of_zero_holds_back_until_it_is_raised_or_removed(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("job", "job", 0)
    job = world.submit("job", n=5)
    world.pump()
    assert world.job(job.job_id)["status"] == "queued"
    assert "job_waits" in world.events(job.job_id)
    assert world.violations() == {}
    world.engine.limits.set("task", "work", 0)
    world.engine.limits.set("job", "job", None)
    world.pump()
    assert world.job(job.job_id)["status"] == "processing"
    assert gauge.total == 0
    [limit] = world.engine.limits.all()
    assert (limit.kind, limit.name, limit.at_most, limit.running) == ("task", "work", 0, 0)
    assert limit.messages_waiting == 5
    world.engine.limits.set("task", "work", 2)
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
    assert gauge.total == 5


def test_a_batch_larger_than_the_limit_is_claimed_in_parts(world: World) -> None:
    found = Gauge()
    world.register(
        ScriptedJob(
            "job", [StageDefinition("a", "work")], lambda s, p, r: Tasks([{}] * 50, expected_seconds=0)
        ),
        task_type("work", found, max_batch=50),
    )
    world.engine.limits.set("task", "work", 7)
    job = world.submit("job")
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
    assert found.total == 50
    claims = world.rows(
        "SELECT (SELECT sum(upper(r) - lower(r)) FROM unnest(tasks) AS r)::int AS n"
        " FROM app.job_events WHERE event = 'tasks_claimed'"
    )
    assert max(claim["n"] for claim in claims) == 7
    assert world.violations() == {}


def test_slots_of_a_dead_worker_are_given_to_others(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("task", "work", 2)
    job = world.submit("job", n=6)
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    dead = TaskRepository(world.databases[0])
    claimed = [dead.claim(job.job_id, 1, 1, i, i, worker="dead", lease=_lease(world)) for i in range(3)]
    assert [len(tasks) for tasks in claimed] == [1, 1, 0]
    world.pump()
    assert gauge.total == 0
    world.rows("UPDATE app.tasks SET lease_until = now() - interval '1 s' WHERE worker = 'dead' RETURNING 1")
    assert world.engine.reconcile()["limits_freed"] > 0
    assert world.run(job.job_id)["status"] == "completed"
    assert world.violations() == {}


def test_who_dies_before_letting_others_go_is_no_loss(
    world: World, gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.engine.limits.set("task", "work", 1)
    job = world.submit("job", n=4)
    with monkeypatch.context() as dying:
        dying.setattr(TaskRepository, "unpark", lambda *_: 0)
        world.pump()
    assert gauge.total == 1
    assert world.engine.reconcile()["limits_freed"] == 1
    assert world.run(job.job_id)["status"] == "completed"


def test_the_messages_of_limited_tasks_may_vanish_and_repeat(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("task", "work", 2)
    world.engine.limits.set("job", "job", 1)
    jobs = [world.submit("job", label=str(i), n=5) for i in range(3)]
    for _ in range(6):
        world.pump(repeat=3, limit=10_000)
        world.queues.lose_everything()
        time.sleep(0.3)
        world.engine.reconcile()
    for job in jobs:
        assert world.run(job.job_id)["status"] == "completed"
    assert gauge.most <= 2
    assert world.violations() == {}


def test_a_cancelled_job_gives_up_its_place(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("job", "job", 1)
    world.engine.limits.set("task", "work", 0)
    first, second = world.submit("job", label="1", n=3), world.submit("job", label="2", n=3)
    world.pump()
    assert world.job(second.job_id)["status"] == "queued"
    world.engine.cancel(first.job_id)
    assert world.job(first.job_id)["status"] == "cancelled"
    world.engine.limits.set("task", "work", None)
    assert world.run(second.job_id)["status"] == "completed"
    assert gauge.total == 3


@pytest.mark.parametrize("how", ["cancelled", "failing"])
def test_what_nobody_waits_for_any_more_takes_nobodys_turn(
    make_world: Callable[..., World], how: str
) -> None:
    """Of a job that ends, one handler goes on; of its parked messages there are more than turns."""
    world = make_world(lease_seconds=60)
    go_on, started = threading.Event(), threading.Event()
    done: list[int] = []

    def work(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if p["first"] and p["i"] == 0:
            started.set()
            assert go_on.wait(60)
        elif p["first"]:
            raise PermanentTaskError("broken")
        else:
            done.append(p["i"])
        return {}

    def plan(stage: int, p: Any, previous: object) -> Tasks:
        return Tasks([{"first": p.label == "first", "i": i} for i in range(p.n)])

    definition = task_type("work", work, expected_duration=timedelta(seconds=2))
    world.register(ScriptedJob("job", [StageDefinition("a", "work")], plan), definition)
    world.engine.limits.set("task", "work", 2)
    first = world.submit("job", label="first", n=300)
    for queue in (world.settings.jobs_queue, world.settings.tasks_queue):
        message = world.queues.receive(queue)
        assert message is not None
        if queue == world.settings.jobs_queue:
            world.deliver(message, queue)
    slow = threading.Thread(target=world.deliver, args=(message, world.settings.tasks_queue))
    slow.start()
    assert started.wait(10)
    if how == "cancelled":
        world.engine.cancel(first.job_id)
    second = world.submit("job", label="second", n=3)
    try:
        world.pump()
        assert sorted(done) == [0, 1, 2]
        assert world.job(second.job_id)["status"] == "completed"
        assert _parked(world) == 0
    finally:
        go_on.set()
        slow.join(30)
    assert world.run(first.job_id)["status"] == {"cancelled": "cancelled", "failing": "failed"}[how]
    assert world.violations() == {}


def test_who_makes_room_passes_by_and_removes_what_nobody_waits_for(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("task", "work", 0)
    first, second = world.submit("job", label="first", n=2500), world.submit("job", label="second", n=3)
    world.pump()
    assert _parked(world) > 3
    # Whoever cancels dies after the commit.
    JobRepository(world.databases[0]).cancel(first.job_id)
    world.engine.limits.set("task", "work", 1)
    world.pump()
    assert world.job(second.job_id)["status"] == "completed"
    assert world.rows("SELECT count(*) AS n FROM app.outbox WHERE job_id = %s", first.job_id) == [{"n": 0}]
    assert world.run(first.job_id)["status"] == "cancelled"
    assert world.violations() == {}


def test_a_limit_that_is_removed_lets_go_a_bounded_number_at_a_time(world: World, gauge: Gauge) -> None:
    """All claims of the type wait meanwhile; but nothing stays behind."""
    n, page = 10_030, 10_000
    world.engine.limits.set("task", "work", 0)
    world.submit("job", n=n)
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    assert _parked(world) == n
    world.rows("SELECT app.set_limit('task:work', NULL)")
    assert _parked(world) == n - page
    assert world.rows("SELECT app.unpark('task:work') AS n") == [{"n": n - page}]
    world.rows("UPDATE app.outbox SET parked = 'task:work' WHERE queue = 'tasks'", fetch=False)
    world.engine.limits.set("task", "work", None)
    assert _parked(world) == 0


def test_a_suspect_without_room_waits_for_it_like_others(world: World, gauge: Gauge) -> None:
    world.engine.limits.set("task", "work", 1)
    job_id = world.submit("job", n=2).job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    world.rows("UPDATE app.tasks SET suspicion = 2 WHERE task_index = 1", fetch=False)
    # As if both had been let go at once.
    world.rows("UPDATE app.outbox SET parked = NULL, sent_at = now(), redeliver_at = now()", fetch=False)
    tasks = TaskRepository(world.databases[0])
    [claimed] = tasks.claim(job_id, 1, 1, 0, 0, worker="w", lease=_lease(world))
    assert tasks.claim(job_id, 1, 1, 1, 1, worker="other", lease=_lease(world)) == []
    assert world.rows("SELECT parked FROM app.outbox WHERE first = 1") == [{"parked": "task:work"}]
    done = TaskReport(task_index=0, fence=claimed.fence, outcome=TaskStatus.COMPLETED, result="{}")
    assert tasks.finish(job_id, 1, 1, "w", [done])
    assert tasks.unpark("work") == 1
    assert world.run(job_id)["status"] == "completed"
    assert world.violations() == {}


def test_a_message_without_room_leaves_those_alone_that_speak_for_other_tasks_too(world: World) -> None:
    world.register(
        ScriptedJob(
            "job", [StageDefinition("a", "work")], lambda s, p, r: Tasks([{}] * 10, expected_seconds=0)
        ),
        task_type("work", lambda p, c: {}, max_batch=50),
    )
    job = world.submit("job")
    world.engine.limits.set("task", "work", 0)
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    # As if the whole batch had been let go and sent, and then a message about its last task came.
    world.rows("UPDATE app.outbox SET parked = NULL, sent_at = now(), redeliver_at = now()", fetch=False)
    world.rows("SELECT * FROM app.claim_tasks(%s, 1, 1, 9, 9, 'w', '30 s')", job.job_id)
    dispatches = world.rows("SELECT first, last, parked FROM app.outbox ORDER BY first")
    assert dispatches == [
        {"first": 0, "last": 9, "parked": None},
        {"first": 9, "last": 9, "parked": "task:work"},
    ]
    world.engine.limits.set("task", "work", 5)
    assert world.run(job.job_id)["status"] == "completed"


def test_failed_tasks_free_their_slots_and_are_retried_within_the_limit(world: World) -> None:
    failures = iter([ValueError("once"), ValueError("and again")])

    def sometimes(p: dict[str, Any], c: Any) -> dict[str, Any]:
        for failure in failures:
            raise failure
        return {}

    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", sometimes))
    world.engine.limits.set("task", "work", 1)
    job = world.submit("job", n=5)
    assert world.run(job.job_id)["status"] == "completed"
    assert _parked(world) == 0
    assert world.violations() == {}


def test_what_cannot_be_limited_is_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidRequest, match="kind"):
        world.engine.limits.set("stage", "hello_world", 1)
    with pytest.raises(UnknownJobType):
        world.engine.limits.set("job", "hello", 1)
    with pytest.raises(NotFound, match="hello"):
        world.engine.limits.set("task", "hello", 1)
    assert world.engine.limits.all() == []


def _lease(world: World) -> Any:
    return world.settings.lease
