"""A system with work in flight is upgraded without being stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from interfaces.errors import MigrationError, ServiceUnavailable
from interfaces.settings import Settings
from repositories.database import Database
from repositories.migrations import migrate, pending, release
from repositories.schema import Schema, SchemaBehind
from repositories.sql_files import queries
from tests.doubles.memory_queues import Stored
from tests.fix_engine import World
from tests.integration.http.conftest import client_of

from .previous_release import OldWorker

N = 8


def job(n: int) -> str:
    return f"{n:064x}"


@pytest.fixture
def new(previous_url: str) -> Iterator[World]:
    """A worker of this release on the database, whatever its schema."""
    world = World(previous_url, lease_seconds=30)
    yield world
    world.close()


@pytest.fixture
def database(previous_url: str) -> Iterator[Database]:
    made = Database(Settings(database_url=SecretStr(previous_url)))
    yield made
    made.close()


def upgrade(url: str) -> None:
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        assert "migrations/0013_signals.sql" in migrate(connection)


def started(old: OldWorker, n: int) -> str:
    """A job whose greetings are there, and whose messages are on their way."""
    old.submit(job(n), N)
    old.send(job(n))
    old.fan_out(job(n), old.claim_plan(job(n)), N)
    return job(n)


def test_work_in_every_state_is_finished_by_both_releases_together(
    old: OldWorker, new: World, previous_url: str
) -> None:
    waiting, planning, cancelled, failed = job(1), job(2), started(old, 3), started(old, 4)
    running = started(old, 5)
    old.submit(waiting, N)
    messages = old.send(waiting)
    old.submit(planning, N)
    old.send(planning)
    fence = old.claim_plan(planning)
    old.claim(cancelled, 0, 1)
    old.run("cancel_job", job_id=cancelled)
    old.finish(failed, old.claim(failed, 0, 0), "failed")
    messages += old.send(running)
    old.finish(running, old.claim(running, 0, 0), "completed")
    old.finish(running, old.claim(running, 1, 1), "retry")
    old.claim(running, 2, 2, worker="dead", lease=0.001)
    held = old.claim(running, 3, 4)

    upgrade(previous_url)

    # The old worker goes on with what it had begun, and takes up more.
    assert [row["task_index"] for row in old.finish(running, held, "completed")] == [3, 4]
    old.finish(running, old.claim(running, 5, 5), "completed")
    old.fan_out(planning, fence, N)
    old.submit(job(6), N)
    messages += old.send(job(6)) + old.send(planning)
    for queue, body in messages:
        named = {"jobs": new.settings.jobs_queue, "tasks": new.settings.tasks_queue}[queue]
        new.send(named, body)
    for one in (running, planning, waiting, job(6)):
        ended = new.run(one)
        assert (ended["status"], ended["result"]["replies"]) == ("completed", N), ended
    assert new.run(failed)["status"] == "failed"
    # What the old worker held of it was reported by nobody: its lease ends.
    new.rows(
        "UPDATE app.tasks SET lease_until = now() - interval '1 s' WHERE status = 'processing'", fetch=False
    )
    assert new.run(cancelled)["status"] == "cancelled"
    new.engine.retry(failed, correlation_id="after")
    assert new.run(failed)["status"] == "completed"
    assert new.violations() == {}
    assert new.rows("SELECT * FROM app.poison_messages") == []


def test_a_new_worker_takes_nothing_up_until_the_database_is_upgraded(
    old: OldWorker, new: World, previous_url: str
) -> None:
    running = started(old, 1)
    old.submit(job(2), N)
    messages = [*old.send(running), *old.send(job(2))]
    before = (
        new.rows("SELECT * FROM app.tasks ORDER BY job_id, task_index"),
        new.rows("SELECT * FROM app.jobs"),
    )
    readiness = client_of(new).get("/api/readyz")
    assert (readiness.status, readiness.json()["reason"]) == (503, "migrations are missing: run migrate")
    assert client_of(new).post("/api/jobs/submit/hello_world", {"n": 1}).status == 503
    for queue, body in messages:
        named = {"jobs": new.settings.jobs_queue, "tasks": new.settings.tasks_queue}[queue]
        # Five times is too often for the host. It throws nothing away from a poison queue.
        for place in (*[named] * 5, f"{named}-poison"):
            with pytest.raises(SchemaBehind, match=r"the database lacks .* run migrate"):
                new.deliver(Stored(body, time.monotonic()), place)
    for timer in (new.engine.relay, new.engine.reconcile, new.engine.follow_up):
        with pytest.raises(SchemaBehind):
            timer()
    assert before == (
        new.rows("SELECT * FROM app.tasks ORDER BY job_id, task_index"),
        new.rows("SELECT * FROM app.jobs"),
    )
    upgrade(previous_url)
    for one in (running, job(2)):
        assert new.run(one)["status"] == "completed"
    assert new.violations() == {}


def test_a_release_goes_on_beside_a_later_one_but_does_not_take_it_back(
    database: Database, previous_url: str
) -> None:
    upgrade(previous_url)
    with psycopg.connect(previous_url, autocommit=True, row_factory=dict_row) as later:
        later.execute(
            "UPDATE app.schema_migrations SET sha256 = 'other' WHERE name = 'functions/40_tasks.sql'"
        )
        assert pending(later) == ["functions/40_tasks.sql"]
        later.execute("INSERT INTO app.schema_migrations VALUES (%s, '')", [f"release/{release() + 1}"])
        assert pending(later) == []
        assert Schema(database).state()["pending"] == []
        with pytest.raises(
            MigrationError, match=rf"is of release {release() + 1}, this is {release()}: it is older"
        ):
            migrate(later)


def holding(url: str) -> psycopg.Connection[Any]:
    """A session in whose transaction somebody has looked at a table that an upgrade changes."""
    holder = psycopg.connect(url)
    holder.execute("SELECT count(*) FROM app.jobs")
    return holder


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade that waits less long for a lock, for the test's sake."""
    assert "'lock_timeout', '2s'" in queries("migrations")["bound_lock_wait"]
    wait = "SELECT set_config('lock_timeout', '300ms', true)"
    monkeypatch.setitem(queries("migrations"), "bound_lock_wait", wait)


def test_an_upgrade_lets_others_pass_while_it_waits_for_a_long_transaction(
    database: Database, previous_url: str, impatient: None
) -> None:
    done: list[object] = []
    with holding(previous_url) as holder, psycopg.connect(previous_url, autocommit=True) as other:
        other.execute("SET statement_timeout = '5s'")
        upgrading = threading.Thread(target=lambda: done.append(Schema(database, patience=30).migrate()))
        upgrading.start()
        longest, end = 0.0, time.monotonic() + 1.2
        while time.monotonic() < end:
            began = time.monotonic()
            other.execute("SELECT count(*) FROM app.jobs")
            longest = max(longest, time.monotonic() - began)
        holder.commit()
        upgrading.join(20)
    assert longest < 1
    assert longest > 0.05, "nobody waited: the upgrade did not try"
    [made] = done
    assert "migrations/0013_signals.sql" in made["made"]  # type: ignore[index]


def test_an_upgrade_that_gets_no_lock_changes_nothing_and_says_so(
    database: Database, previous_url: str, impatient: None
) -> None:
    missing = Schema(database).pending()
    with holding(previous_url), pytest.raises(ServiceUnavailable, match="nothing was changed"):
        Schema(database, patience=0.1).migrate()
    assert Schema(database).pending() == missing
    assert "migrations/0013_signals.sql" in missing
