"""A database in full swing, at any size: what grows with the size is what no hot statement may walk through.

Of constant size is what a call is about: a batch that waits, one that runs, three messages that are overdue,
five runs that are old. Everything else grows: the tasks of the stage, those that wait and those that ended,
its messages that were sent, its history and its items, and the jobs that ended before.
"""

from __future__ import annotations

import datetime
from typing import Any

import psycopg
from psycopg.sql import SQL

JOB = "a" * 64
HELD = 50
"""Tasks from the middle on that worker `w` runs; as many behind them are due."""


def parameters(tasks: int) -> dict[str, Any]:
    """What the statements are called with, by the names that the queries use."""
    middle = tasks // 2
    held = range(middle, middle + HELD)
    return {
        "n": tasks,
        "middle": middle,
        "job_id": JOB,
        "run": 1,
        "stage": 1,
        "worker": "w",
        "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        "caller": '{"kind": "key", "name": "key", "correlation_id": ""}',
        "first": middle + HELD,
        "last": middle + 2 * HELD - 1,
        "lease": datetime.timedelta(seconds=30),
        "hold": datetime.timedelta(seconds=30),
        "limit": 100,
        "patience": datetime.timedelta(seconds=15),
        "indexes": list(held),
        "fences": list(held),
        "job_ids": [JOB] * HELD,
        "runs": [1] * HELD,
        "stages": [1] * HELD,
        "results": [None] * HELD,
        "locations": [None] * HELD,
        "errors": ["why"] * HELD,
        "delays": [0.0] * HELD,
        "usages": ['{"seconds": 1.5}'] * HELD,
        "usage": '{"attempts": 50, "seconds": 75.0}',
        "seconds": [0.1] * HELD,
        "logs": None,
        "dispatch_ids": list(range(1, 21)),
        "redelivery": datetime.timedelta(seconds=30),
        "longest": datetime.timedelta(seconds=900),
        "statuses": None,
        "job_type": None,
        "task_type": None,
        "hours": None,
        "after": None,
        "after_at": None,
        "after_job_id": None,
        "after_stage": 1,
        "after_index": middle,
        "after_event_id": middle,
        "max_bytes": 1_000_000,
        "max_attempts": 3,
        "before": datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=90),
        "age": datetime.timedelta(days=1),
    }


_SCENE = (
    # The job and its stage.
    "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status) VALUES"
    " (%(job_id)s, 'x', '{}', 2, 'processing')",
    "INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size, on_failure,"
    " max_failed_fraction, max_attempts) VALUES (%(job_id)s, 1, 1, 'a', 'x', %(n)s, 10, 'continue', 0.5, 3)",
    # A tenth of the tasks wait, just before the middle; all but a hundred of the others have ended.
    "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, result, error, fence,"
    " attempt, worker, lease_until, started_at, completed_at)"
    " SELECT %(job_id)s, 1, 1, i, '{}', s.status,"
    " CASE s.status WHEN 'completed' THEN '{\"a\": 1}'::jsonb END,"
    " CASE s.status WHEN 'failed' THEN 'why' END,"
    " CASE s.status WHEN 'completed' THEN 1 WHEN 'processing' THEN i END,"
    " (s.status <> 'queued')::integer, CASE WHEN s.status = 'processing' THEN 'w' END,"
    " CASE WHEN s.status = 'processing' THEN now() + interval '1 hour' END, now(),"
    " CASE WHEN s.status IN ('completed', 'failed') THEN now() END"
    " FROM generate_series(0, %(n)s - 1) AS i CROSS JOIN LATERAL (SELECT CASE"
    " WHEN i < 5 THEN 'failed'"
    " WHEN i >= %(middle)s AND i < %(middle)s + 50 THEN 'processing'"
    " WHEN i >= %(middle)s - %(n)s / 10 AND i < %(middle)s + 100 THEN 'queued'"
    " ELSE 'completed' END::app.task_status AS status) AS s",
    "SELECT app.recount_stage(%(job_id)s, 1, 1)",
    # Messages: twenty to be sent, the others sent, three of them overdue.
    "INSERT INTO app.outbox (queue, job_id, run, stage, first, last)"
    " SELECT 'tasks', %(job_id)s, 1, 1, i, i + 9"
    " FROM generate_series(%(middle)s - 200, %(middle)s - 1, 10) AS i",
    "INSERT INTO app.outbox (queue, job_id, run, stage, first, last, sends, sent_at, redeliver_at)"
    " SELECT 'tasks', %(job_id)s, 1, 1, i, i + 9, 1, now(), now() +"
    " CASE WHEN i BETWEEN %(middle)s + 50 AND %(middle)s + 79 THEN interval '-1 s' ELSE interval '10 min' END"
    " FROM generate_series(0, %(n)s - 1, 10) AS i"
    " WHERE i NOT BETWEEN %(middle)s - 200 AND %(middle)s - 1",
    "INSERT INTO app.stage_items"
    " SELECT %(job_id)s, 1, 1, i, 1, 0, '{}' FROM generate_series(0, %(n)s - 1) AS i",
    "INSERT INTO app.job_events (job_id, run, stage, event) SELECT %(job_id)s, 1, 1, 'tasks_completed'"
    " FROM generate_series(1, %(n)s) AS i",
    # Jobs that ended: most lately, five long ago.
    "CREATE TEMP TABLE ended AS SELECT i, encode(sha256(i::text::bytea), 'hex') AS job_id,"
    " now() - i * interval '1 min' - CASE WHEN i <= 5 THEN interval '100 days' ELSE '1 h' END AS at"
    " FROM generate_series(1, %(n)s / 10) AS i",
    "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status, result, run, created_at,"
    " completed_at) SELECT job_id, 'x', '{}', 1, 'completed', '{}', 2, at, at FROM ended",
    "INSERT INTO app.past_runs SELECT job_id, 1, 'failed', NULL, 'why', '', at, at, at,"
    " CASE WHEN i BETWEEN 6 AND 10 THEN now() END FROM ended",
    "INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size, on_failure,"
    " max_attempts, status, completed_at, cleaned_at) SELECT job_id, 2, 1, 'a', 'x', 2, 1, 'fail_job', 3,"
    " 'completed', at, CASE WHEN i > 5 THEN at END FROM ended",
    "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, result, fence, attempt)"
    " SELECT job_id, 2, 1, t, '{}', 'completed', '{}', 1, 1 FROM ended, generate_series(0, 1) AS t",
    "INSERT INTO app.job_events (job_id, run, event) SELECT job_id, 2, 'x' FROM ended, generate_series(1, 3)",
    "INSERT INTO app.poison_messages (queue, message_id, reason, raw, bytes, dequeue_count, correlation_id,"
    " job_id, run, stage) SELECT 'tasks', 'm' || i, 'x', '', 0, 5, '', job_id, 2, 1 FROM ended",
    # Five others that run.
    "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status)"
    " SELECT repeat(i::text, 64), 'y', '{}', 2, 'processing' FROM generate_series(1, 5) AS i",
    "INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size, on_failure,"
    " max_attempts) SELECT repeat(i::text, 64), 1, 1, 'a', 'y', 1, 1, 'fail_job', 3"
    " FROM generate_series(1, 5) AS i",
    "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters)"
    " SELECT repeat(i::text, 64), 1, 1, 0, '{}' FROM generate_series(1, 5) AS i",
    "INSERT INTO app.outbox (queue, job_id, run, stage, first, last, sends, sent_at, redeliver_at)"
    " SELECT 'tasks', repeat(i::text, 64), 1, 1, 0, 0, 1, now(), now() + interval '10 min'"
    " FROM generate_series(1, 5) AS i",
    "INSERT INTO app.job_events (job_id, run, event)"
    " SELECT repeat(i::text, 64), 1, 'x' FROM generate_series(1, 3), generate_series(1, 5) AS i",
    "SELECT app.recount_stage(repeat(i::text, 64), 1, 1) FROM generate_series(1, 5) AS i",
)


def build(url: str, tasks: int) -> None:
    """Fill a migrated database. What statistics there are is for the caller to say."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'app'").fetchall()
        for (table,) in tables:
            connection.execute(SQL("ALTER TABLE app.{} SET (autovacuum_enabled = off)").format(SQL(table)))
        for statement in _SCENE:
            connection.execute(statement, parameters(tasks))
