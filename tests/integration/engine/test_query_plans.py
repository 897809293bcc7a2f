"""What each hot statement looks at does not depend on how many tasks a stage has.

PostgreSQL itself reports the plans of the statements inside the protocol's functions (auto_explain), as
they were carried out: by which index, and how many rows they touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.fix_engine import World

TASKS = 20_000
BATCH = 50
JOB = "a" * 64


@dataclass
class Plans:
    """The plans of one call: the indexes used, the tables read whole, and the rows touched."""

    indexes: set[str] = field(default_factory=set)
    scanned: set[str] = field(default_factory=set)
    most_rows: int = 0

    def add(self, node: dict[str, Any]) -> None:
        table = node.get("Relation Name", "")
        if node["Node Type"] == "Seq Scan" and node.get("Schema", "app") == "app":
            self.scanned.add(table)
        if "Index Name" in node:
            self.indexes.add(node["Index Name"])
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        touched = (node.get("Actual Rows", 0) + removed) * node.get("Actual Loops", 1)
        if table:
            self.most_rows = max(self.most_rows, touched)
        for child in node.get("Plans", []):
            self.add(child)


class Explained:
    """A session whose every statement is explained, those inside functions too."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._plans = Plans()
        connection.add_notice_handler(self._notice)
        for setting in (
            "LOAD 'auto_explain'",
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_nested_statements = on",
            "SET auto_explain.log_format = json",
            "SET client_min_messages = log",
        ):
            connection.execute(setting)

    def call(self, query: str, *parameters: object) -> tuple[list[Any], Plans]:
        """The rows of a call, and the plans of everything it did."""
        self._plans = Plans()
        rows = self._connection.execute(query, parameters or None).fetchall()
        return rows, self._plans

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        _, found, text = (notice.message_primary or "").partition("plan:\n")
        if found:
            self._plans.add(json.loads(text)["Plan"])


@pytest.fixture(params=["fresh statistics", "no statistics"])
def explained(world: World, request: pytest.FixtureRequest) -> Iterator[Explained]:
    """A large stage in full swing: most of it finished, some running, the rest queued."""
    world.rows("ALTER TABLE app.tasks SET (autovacuum_enabled = off)", fetch=False)
    world.rows(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status)"
        " VALUES (%s, 'x', '{}', 2, 'processing')",
        JOB,
        fetch=False,
    )
    world.rows(
        "INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size,"
        " on_failure, max_attempts) VALUES (%s, 1, 1, 'a', 'x', %s, %s, 'continue', 3)",
        JOB,
        TASKS,
        BATCH,
        fetch=False,
    )
    world.rows(
        "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters) SELECT %s, 1, 1, i, '{}'"
        " FROM generate_series(0, %s - 1) i",
        JOB,
        TASKS,
        fetch=False,
    )
    world.rows(
        "UPDATE app.tasks SET status = 'completed', result = '{}', fence = 1 WHERE task_index < %s - 2000",
        TASKS,
        fetch=False,
    )
    world.rows(
        "INSERT INTO app.outbox (queue, job_id, run, stage, first, last) SELECT 'tasks', %s, 1, 1, i, i + 49"
        " FROM generate_series(0, %s - 1, 50) i",
        JOB,
        TASKS,
        fetch=False,
    )
    world.rows("SELECT app.recount_stage(%s, 1, 1)", JOB)
    if request.param == "fresh statistics":
        world.rows("ANALYZE", fetch=False)
    with psycopg.connect(world.url, autocommit=True) as connection:
        yield Explained(connection)


def claim(explained: Explained, first: int) -> tuple[list[Any], Plans]:
    return explained.call(
        "SELECT task_index, fence FROM app.claim_tasks(%s, 1, 1, %s, %s, 'w', interval '30 s')",
        JOB,
        first,
        first + BATCH - 1,
    )


def finish(explained: Explained, claimed: list[Any], outcome: str = "completed") -> tuple[list[Any], Plans]:
    n = len(claimed)
    return explained.call(
        "SELECT * FROM app.finish_tasks(%s, 1, 1, 'w', %s::int[], %s::bigint[], %s::text[], %s::jsonb[],"
        " %s::jsonb[], %s::text[], %s::float8[])",
        JOB,
        [index for index, _ in claimed],
        [fence for _, fence in claimed],
        [outcome] * n,
        ["{}" if outcome == "completed" else None] * n,
        [None] * n,
        [None if outcome == "completed" else "why"] * n,
        [0.0] * n,
    )


def test_claiming_touches_only_the_batch(explained: Explained) -> None:
    rows, plans = claim(explained, TASKS - 1000)
    assert len(rows) == BATCH
    assert not plans.scanned & {"tasks", "outbox"}
    assert plans.most_rows <= 2 * BATCH


def test_claiming_what_is_finished_touches_only_the_batch(explained: Explained) -> None:
    rows, plans = claim(explained, 100)
    assert rows == []
    assert plans.most_rows <= BATCH


@pytest.mark.parametrize("outcome", ["completed", "failed", "retry"])
def test_finishing_touches_only_the_batch(explained: Explained, outcome: str) -> None:
    claimed, _ = claim(explained, TASKS - 1000)
    rows, plans = finish(explained, claimed, outcome)
    assert len(rows) == BATCH
    assert "tasks" not in plans.scanned
    assert plans.most_rows <= BATCH * BATCH


def test_renewing_leases_touches_only_what_is_held(explained: Explained) -> None:
    claimed, _ = claim(explained, TASKS - 1000)
    n = len(claimed)
    rows, plans = explained.call(
        "SELECT * FROM app.extend_leases(%s::text[], %s::int[], %s::int[], %s::int[], %s::bigint[], '30 s')",
        [JOB] * n,
        [1] * n,
        [1] * n,
        [index for index, _ in claimed],
        [fence for _, fence in claimed],
    )
    assert len(rows) == BATCH
    assert "tasks" not in plans.scanned
    assert plans.most_rows <= BATCH * BATCH


def test_probing_for_the_last_task_looks_at_one(explained: Explained) -> None:
    rows, plans = explained.call("SELECT app.finish_stage(%s, 1, 1, 'w')", JOB)
    assert rows == [(False,)]
    assert "tasks_unfinished" in plans.indexes
    assert plans.most_rows <= 1


def test_finding_ended_leases_looks_at_running_tasks_only(explained: Explained) -> None:
    claim(explained, TASKS - 1000)
    rows, plans = explained.call("SELECT * FROM app.reconcile_leases(1000)")
    assert rows == []
    assert plans.indexes & {"tasks_processing", "tasks_unfinished"}
    assert plans.most_rows <= 2 * BATCH


def test_progress_is_read_from_the_counters(explained: Explained) -> None:
    rows, plans = explained.call("SELECT completed FROM app.stage_progress WHERE job_id = %s", JOB)
    assert rows == [(TASKS - 2000,)]
    assert plans.most_rows <= 8


def test_taking_dispatches_looks_at_pending_ones_only(explained: Explained) -> None:
    taken, plans = explained.call(
        "SELECT dispatch_id FROM app.take_dispatches(%s, 100, interval '30 s')", JOB
    )
    assert len(taken) == 100
    assert plans.most_rows <= TASKS // BATCH
    _, plans = explained.call(
        "SELECT app.mark_sent(%s::bigint[], interval '30 s', interval '900 s')", [row[0] for row in taken]
    )
    assert plans.most_rows <= TASKS // BATCH


@pytest.mark.parametrize(
    ("rows", "middle", "index"),
    [
        ("tasks", [1, TASKS // 2], "tasks_pkey"),
        ("items", [1, 0, 1, TASKS // 2], "stage_items_pkey"),
        ("events", [TASKS // 2], "job_events_of_job"),
    ],
)
def test_removing_a_run_touches_only_the_page(
    explained: Explained, world: World, rows: str, middle: list[int], index: str
) -> None:
    for insert in (
        "INSERT INTO app.past_runs SELECT %s, 1, 'failed', NULL, 'why', '', now(), now(), now(), now()",
        "INSERT INTO app.stage_items SELECT %s, 1, 1, 0, 1, i, '{}' FROM generate_series(1, 20000) AS i",
        "INSERT INTO app.job_events (job_id, run, event) SELECT %s, 1, 'x' FROM generate_series(1, 20000)",
    ):
        world.rows(insert, JOB, fetch=False)
    for after in (None, middle):
        [(removed, reached)], plans = explained.call(
            f"SELECT removed, reached FROM app.sweep_run_{rows}(%s, 1, %s::bigint[], 100)", JOB, after
        )
        assert removed == 100
        assert reached > (after or [0])
        assert index in plans.indexes
        assert plans.scanned <= {"past_runs"}
        assert plans.most_rows <= 100


def test_finding_old_runs_looks_at_old_runs_only(explained: Explained, world: World) -> None:
    for age in (1, 100):
        world.rows(
            "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status, error, completed_at)"
            " SELECT encode(sha256((%s + i)::text::bytea), 'hex'), 'x', '{}', 1, 'failed', 'why',"
            " now() - make_interval(days => %s, secs => i) FROM generate_series(1, 5000) AS i",
            age * 100_000,
            age,
            fetch=False,
        )
    world.rows("ANALYZE app.jobs", fetch=False)
    rows, plans = explained.call(
        "SELECT * FROM app.old_runs(now() - interval '90 days', '-infinity', '', 0, 100)"
    )
    assert len(rows) == 100
    assert "jobs_ended" in plans.indexes
    assert "jobs" not in plans.scanned
    assert plans.most_rows <= 100


def test_a_lost_index_would_be_noticed(explained: Explained, world: World) -> None:
    last = "UPDATE app.tasks SET status = 'completed', result = '{}' WHERE task_index > 0"
    world.rows(last, fetch=False)
    world.rows("UPDATE app.tasks SET status = 'queued' WHERE task_index = 0", fetch=False)
    world.rows("DROP INDEX app.tasks_unfinished", fetch=False)
    _, plans = explained.call("SELECT app.finish_stage(%s, 1, 1, 'w')", JOB)
    assert plans.most_rows > 1000
