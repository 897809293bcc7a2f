"""What a task costs beyond its handler: statements, commits and connections, counted and not timed."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from engine.relay import PAGE
from interfaces.plans import StageDefinition
from local.stack.ports import LOOPBACK
from tests.doubles.wire import Wire
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


class Watched:
    """An app whose statements are counted between it and PostgreSQL: what no hook in Python sees, too."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world = world
        self._wire = wire
        self._before: list[list[str]] = []

    def clear(self) -> None:
        """Count from here."""
        self._before = self._wire.statements()

    def sessions(self) -> list[list[str]]:
        """What each session did since then: functions of the protocol by their name, else the first word."""
        before = [len(session) for session in self._before]
        sessions = self._wire.statements()
        before += [0] * (len(sessions) - len(before))
        return [[_name(s) for s in session[skip:]] for session, skip in zip(sessions, before, strict=True)]

    def counted(self) -> Counter[str]:
        """How often each was sent."""
        return Counter(name for session in self.sessions() for name in session)

    def transactions(self) -> int:
        """How many commits, or rollbacks, that makes."""
        count = 0
        for session in self.sessions():
            inside = False
            for name in session:
                inside = name == "BEGIN" or (inside and name not in ("COMMIT", "ROLLBACK"))
                count += not inside
        return count


def _name(statement: str) -> str:
    called = [name for name in re.findall(r"app\.(\w+)\(", statement) if name != "limited"]
    words = re.sub(r"--.*", "", statement).split()
    return called[0] if called and words[0] != "COPY" else words[0].upper()


@pytest.fixture
def watched(make_world: Callable[..., World], database_url: str) -> Iterator[Watched]:
    """An app behind a wire; no heartbeat adds statements of its own."""
    port = urlsplit(database_url).port
    assert port is not None
    with Wire(port).serving() as wire:
        through = database_url.replace(f"{LOOPBACK}:{port}/", f"{LOOPBACK}:{wire.port}/")
        through += "&" if "?" in through else "?"
        # What is encrypted cannot be counted.
        through += "sslmode=disable&gssencmode=disable"
        world = make_world(database_url=SecretStr(through), lease_seconds=120, heartbeat_seconds=60)
        made = Watched(world, wire)
        # What a process asks once is not counted: whether the database is of its release.
        world.engine.relay()
        made.clear()
        yield made
        for database in world.databases:
            database.close()


def test_a_batch_costs_a_claim_a_flush_and_a_probe(watched: Watched) -> None:
    world = watched.world
    world.submit("hello_world", n=1000)
    job = world.queues.receive(world.settings.jobs_queue)
    assert job is not None
    world.deliver(job, world.settings.jobs_queue)
    watched.clear()
    messages = 0
    while message := world.queues.receive(world.settings.tasks_queue):
        world.deliver(message, world.settings.tasks_queue)
        messages += 1
    assert messages == 8, "two stages of 1,000 brief tasks, 250 a message"
    counted = watched.counted()
    assert counted["claim_tasks"] == messages
    assert counted["finish_stage"] == messages
    # Once a batch; where the machine is busy, what has waited for a second is flushed earlier.
    assert messages <= counted["finish_tasks"] <= 3 * messages
    # What is left is the planning of stage 2, in one transaction, and the job's result.
    rest = counted.total() - 2 * messages - counted["finish_tasks"]
    [session] = [session for session in watched.sessions() if "BEGIN" in session]
    began = session.index("BEGIN")
    transaction = ["BEGIN", "begin_fan_out", "insert_tasks_from_results", "seal_stage", "COMMIT"]
    assert session[began : began + 5] == transaction
    assert rest <= 20, counted
    assert watched.transactions() / 2000 < 0.02


def test_a_stage_is_planned_inserted_and_dispatched_in_one_transaction(watched: Watched) -> None:
    world = watched.world
    world.submit("hello_world", n=5000)
    job = world.queues.receive(world.settings.jobs_queue)
    assert job is not None
    watched.clear()
    world.deliver(job, world.settings.jobs_queue)
    assert len(world.tasks(world.rows("SELECT job_id FROM app.jobs")[0]["job_id"])) == 5000
    [session] = [session for session in watched.sessions() if "COPY" in session]
    began = session.index("BEGIN")
    assert session[began : began + 5] == ["BEGIN", "begin_fan_out", "COPY", "seal_stage", "COMMIT"]
    # Beside those: claim the plan, read what is before it, take the dispatches and mark them sent.
    assert watched.counted().total() <= 9, watched.counted()


def test_a_small_job_costs_few_transactions(watched: Watched) -> None:
    watched.world.submit("hello_world", n=30)
    watched.world.pump()
    assert watched.world.rows("SELECT status FROM app.jobs") == [{"status": "completed"}]
    assert watched.counted().total() <= 30, watched.counted()
    assert watched.transactions() / 60 <= 0.4


def test_dispatches_are_handed_to_the_queue_a_page_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[int] = []
    real = world.queues.send

    def send(messages: Any, within: float) -> Any:
        handed.append(len(messages))
        return real(messages, within)

    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    world.submit("job", n=3 * PAGE)
    job = world.queues.receive(world.settings.jobs_queue)
    assert job is not None
    monkeypatch.setattr(world.queues, "send", send)
    world.deliver(job, world.settings.jobs_queue)
    assert handed == [PAGE] * 3


def test_no_connection_is_held_while_a_handler_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # By the handler's thread: the heartbeat, which has its own, may take one at any time.
    holders: Counter[int] = Counter()
    take, give = ConnectionPool.getconn, ConnectionPool.putconn
    taken: list[int] = []
    held: list[int] = []

    def getconn(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = take(self, *args, **kwargs)
        holders[threading.get_ident()] += 1
        taken.append(threading.get_ident())
        return connection

    def putconn(self: Any, connection: Any) -> None:
        holders[threading.get_ident()] -= 1
        give(self, connection)

    def look(p: dict[str, Any], c: Any) -> dict[str, Any]:
        held.append(holders[threading.get_ident()])
        return {}

    monkeypatch.setattr(ConnectionPool, "getconn", getconn)
    monkeypatch.setattr(ConnectionPool, "putconn", putconn)
    world.register(ScriptedJob("job", [StageDefinition("a", "look")]), task_type("look", look))
    job = world.submit("job", n=5)
    assert world.run(job.job_id)["status"] == "completed"
    assert held == [0] * 5
    assert threading.get_ident() in taken, "handlers run in the thread that claims"


def test_a_process_never_opens_more_than_four_connections(world: World) -> None:
    job = world.submit("hello_world", n=100, sleep_seconds=0.01)
    world.run(job.job_id)
    pool = world.databases[0]._pool
    assert pool is not None
    assert pool.max_size <= 4
    rows = world.rows(
        "SELECT count(*) AS n FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'geospatial-orchestrator'"
    )
    assert rows[0]["n"] <= 4
