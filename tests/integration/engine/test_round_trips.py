"""What a task costs beyond its handler: statements and connections, counted, not timed."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import psycopg
import pytest

from interfaces.plans import StageDefinition
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what the engine sends to PostgreSQL, by the function of the protocol that it calls."""
    counted: Counter[str] = Counter()
    real = psycopg.Connection.execute

    def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        text = str(query)
        called = [name for name in re.findall(r"app\.(\w+)\(", text) if name != "limited"]
        counted[called[0] if called else text] += 1
        return real(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    return counted


def test_a_batch_costs_a_claim_a_flush_and_a_probe(world: World, statements: Counter[str]) -> None:
    world.submit("hello_world", n=1000)
    job = world.queues.receive(world.settings.jobs_queue)
    assert job is not None
    world.deliver(job, world.settings.jobs_queue)
    statements.clear()
    messages = 0
    while message := world.queues.receive(world.settings.tasks_queue):
        world.deliver(message, world.settings.tasks_queue)
        messages += 1
    assert messages == 8, "two stages of 1,000 brief tasks, 250 a message"
    assert statements["claim_tasks"] == statements["finish_tasks"] == statements["finish_stage"] == messages
    # What is left is the planning of stage 2 and the job's result.
    assert sum(statements.values()) - 3 * messages <= 20
    assert sum(statements.values()) / 2000 < 0.2


def test_no_connection_is_held_while_a_handler_runs(world: World) -> None:
    idle: list[bool] = []

    def look(p: dict[str, Any], c: Any) -> dict[str, Any]:
        pool = world.databases[0]._pool
        assert pool is not None
        stats = pool.get_stats()
        idle.append(stats["pool_available"] == stats["pool_size"])
        return {}

    world.register(ScriptedJob("job", [StageDefinition("a", "look")]), task_type("look", look))
    job = world.submit("job", n=5)
    assert world.run(job.job_id)["status"] == "completed"
    assert idle == [True] * 5


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
