"""A planner that freezes in the middle of its fan-out keeps nobody from planning the stage.

It is not dead: its session stays open, and with it the transaction that holds the stage's tasks. All of it is
done by an ordinary role, as in production: no superuser ends another's session there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from interfaces.errors import ServiceUnavailable
from interfaces.jobs import ClaimedPlan
from interfaces.plans import StageDefinition, Tasks
from repositories.connection import Connection
from repositories.database import Database
from repositories.jobs import JobRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import TERMINAL, World
from tests.fix_pgbouncer import pgbouncer

ROWS, LENGTH = 200, 10_000
"""So long that most of them have reached the server when the last is made."""
OPTIONS = {"lease_seconds": 2, "heartbeat_seconds": 0.5, "redelivery_seconds": 1, "redelivery_max_seconds": 2}


class FreezesBeforeCommit(Database):
    """Its process is stopped when all is written and nothing committed."""

    @contextmanager
    def long_transaction(self, share: float = 1.0, *, wait: float | None = None) -> Iterator[Connection]:
        with super().long_transaction(share, wait=wait) as connection:
            yield connection
            os.kill(os.getpid(), signal.SIGSTOP)


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """The database's URL for a role that may do what the app does, and no more."""
    name = f"app_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'app'")
        admin.execute(f"GRANT USAGE ON SCHEMA app TO {name}")
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            admin.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA app TO {name}")
        yield make_conninfo(database_url, user=name, password="app")
        admin.execute(f"DROP OWNED BY {name} CASCADE")
        admin.execute(f"DROP ROLE {name}")


@pytest.fixture
def pooled(role: str, server_folder: Path) -> Iterator[str]:
    """The same through PgBouncer in transaction mode."""
    with pgbouncer(role, server_folder) as url:
        yield url


@pytest.fixture
def make_app(role: str) -> Iterator[Callable[..., World]]:
    """Makes worlds that connect as that role."""
    worlds: list[World] = []

    def make(url: str = role, **overrides: Any) -> World:
        worlds.append(app(url, **overrides))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def app(url: str, freezes_at: int | None = None, **overrides: Any) -> World:
    """An app with a workflow of one stage, which freezes while it makes that row."""

    def plan(stage: int, p: Any, previous: Any) -> Tasks:
        def rows() -> Iterator[dict[str, Any]]:
            for i in range(ROWS):
                if i == freezes_at:
                    os.kill(os.getpid(), signal.SIGSTOP)
                yield {"i": i, "pad": "x" * LENGTH}

        return Tasks(rows())

    world = World(url, **(OPTIONS | overrides))
    world.register(ScriptedJob("job", [StageDefinition("a", "w")], plan), task_type("w", lambda p, c: {}))
    return world


def plan_and_freeze(url: str, where: str) -> None:
    """Submit a job, and freeze while its stage is planned. Runs in a process of its own."""
    world = app(url, ROWS - 10 if where == "among the rows" else None)
    if where == "before the commit":
        stages: Any = world.engine._planner._stages
        stages._database = FreezesBeforeCommit(world.settings)
    world.submit("job")
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)


def stopped(pid: int | None) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("where", ["among the rows", "before the commit"])
@pytest.mark.parametrize("endpoint", ["role", "pooled"])
def test_a_planner_that_froze_in_the_fan_out_is_replaced(
    request: pytest.FixtureRequest, make_app: Callable[..., World], endpoint: str, where: str
) -> None:
    url = request.getfixturevalue(endpoint)
    world = make_app(url)
    frozen = multiprocessing.get_context("fork").Process(target=plan_and_freeze, args=(url, where))
    frozen.start()
    try:
        while not stopped(frozen.pid):
            time.sleep(0.05)
        [job] = world.rows("SELECT job_id FROM app.jobs")
        end = time.monotonic() + 30
        while world.job(job["job_id"])["status"] not in TERMINAL and time.monotonic() < end:
            world.engine.reconcile()
            with suppress(ServiceUnavailable):
                world.pump()
            time.sleep(0.2)
        assert world.job(job["job_id"])["status"] == "completed"
        assert len(world.tasks(job["job_id"])) == ROWS
        assert ("planner_ended" in world.events(job["job_id"])) == (where == "among the rows")
        assert world.violations() == {}
        # It wakes up, and finds that it has been replaced.
        assert frozen.pid is not None
        os.kill(frozen.pid, signal.SIGCONT)
        frozen.join(30)
        assert frozen.exitcode is not None
        assert len(world.tasks(job["job_id"])) == ROWS
        assert world.events(job["job_id"]).count("stage_planned") == 1
    finally:
        frozen.kill()
        frozen.join()


class Claims:
    """Claims of the planning of one job's first stage, and the sessions that hold its fan-out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._jobs = JobRepository(world.databases[0])
        self.job_id = world.submit("job").job_id

    def claim(self) -> ClaimedPlan:
        """A new claim, after the end of the one before."""
        self._world.rows("UPDATE app.jobs SET plan_lease_until = now() - interval '1 s'", fetch=False)
        self._world.rows("UPDATE app.jobs SET plan_lease_until = NULL WHERE plan_fence IS NULL", fetch=False)
        plan = self._jobs.claim_plan(
            self.job_id, 1, 1, worker="w", lease=timedelta(minutes=1), max_attempts=9
        )
        assert plan is not None
        return plan


def begin(url: str, plan: ClaimedPlan) -> psycopg.Connection[Any]:
    """A session whose fan-out has begun."""
    connection = psycopg.connect(url)
    [answer] = connection.execute(
        "SELECT app.begin_fan_out(%s, 1, 1, %s, interval '20 s')", [plan.job_id, plan.plan_fence]
    ).fetchall()
    assert answer == (True,)
    return connection


def try_to_begin(url: str, plan: ClaimedPlan) -> bool:
    """Whether another session may begin the fan-out of this claim, once nobody holds it."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT app.begin_fan_out(%s, 1, 1, %s, interval '1 s')", [plan.job_id, plan.plan_fence]
        ).fetchone()
        return row is not None and bool(row[0])


def test_a_claim_that_is_no_longer_the_newest_ends_nobody(role: str, make_app: Callable[..., World]) -> None:
    claims = Claims(make_app())
    old, new = claims.claim(), claims.claim()
    with begin(role, new) as connection:
        assert not try_to_begin(role, old)
        connection.execute("SELECT 1")


def test_the_same_claim_waits_for_itself(role: str, make_app: Callable[..., World]) -> None:
    plan = Claims(make_app()).claim()
    with begin(role, plan) as connection:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            try_to_begin(role, plan)
        connection.execute("SELECT 1")
    assert try_to_begin(role, plan)


def test_the_successor_ends_only_the_fan_out_of_its_own_stage(
    role: str, make_app: Callable[..., World]
) -> None:
    world = make_app()
    claims, other = Claims(world), world.submit("job", label="other").job_id
    old = claims.claim()
    jobs = JobRepository(world.databases[0])
    elsewhere = jobs.claim_plan(other, 1, 1, worker="w", lease=timedelta(minutes=1), max_attempts=9)
    assert elsewhere is not None
    with begin(role, elsewhere) as untouched:
        predecessor = begin(role, old)
        assert try_to_begin(role, claims.claim())
        with pytest.raises(psycopg.errors.AdminShutdown):
            predecessor.execute("SELECT 1")
        predecessor.close()
        untouched.execute("SELECT 1")


def test_a_predecessor_of_another_role_is_waited_for_and_the_attempt_does_not_count(
    database_url: str, role: str, make_app: Callable[..., World]
) -> None:
    world = make_app(lease_seconds=1, heartbeat_seconds=0.3)
    claims = Claims(world)
    # A superuser's session, which nobody else may end.
    with begin(database_url, claims.claim()):
        world.rows("UPDATE app.jobs SET plan_lease_until = now() - interval '1 s'", fetch=False)
        world.engine.reconcile()
        with pytest.raises(ServiceUnavailable):
            world.pump()
        assert "plan_interrupted" in world.events(claims.job_id)
    assert world.run(claims.job_id)["status"] == "completed"
