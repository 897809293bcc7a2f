"""What the protocol left in the database, read in one statement, in the words of the model; and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from repositories.invariants import INVARIANTS

from .protocol_model import Event, Model, StageKey, TaskKey

Admin = psycopg.Connection[dict[str, Any]]

RECORDED = (
    *("submitted", "run_submitted", "job_started", "job_cancelling", "job_retried"),
    *("job_completed", "job_completed_with_errors", "job_failed", "job_cancelled"),
    *("plan_repeated", "plan_interrupted", "plan_lease_lost", "leases_lost"),
    *("stage_planned", "stage_failing", "stage_completed", "stage_completed_with_errors"),
    *("stage_failed", "stage_cancelled"),
    *(
        "tasks_claimed",
        "tasks_retried",
        "tasks_deferred",
        "tasks_completed",
        "tasks_failed",
        "tasks_cancelled",
    ),
)
"""The events of transitions; the others tell of dispatches."""

_STATE = """
SELECT
    (SELECT coalesce(json_agg(json_build_array(
         job_id, status, run, stage, plan_fence::text, coalesce(plan_lease_until < now(), false),
         plan_attempts, plan_spared, plan_interruptions)), '[]') FROM app.jobs) AS jobs,
    (SELECT coalesce(json_agg(json_build_array(job_id, run, stage, status)), '[]') FROM app.stages) AS stages,
    (SELECT coalesce(json_agg(json_build_array(
         job_id, run, stage, task_index, status, attempt, suspicion, fence::text,
         coalesce(lease_until < now(), false), status <> 'queued' OR due_at <= now() + interval '1 s',
         ARRAY(SELECT a ->> 'outcome' FROM jsonb_array_elements(attempts) AS a))), '[]')
     FROM app.tasks) AS tasks,
    (SELECT coalesce(json_agg(json_build_array(
         job_id, run, stage, event,
         ARRAY(SELECT i FROM unnest(tasks) AS r, generate_series(lower(r), upper(r) - 1) AS i ORDER BY i))),
     '[]') FROM app.job_events WHERE event_id > %(after)s AND event = ANY (%(recorded)s)) AS events,
    (SELECT coalesce(max(event_id), 0) FROM app.job_events) AS newest
"""

_PROBLEMS = {
    "a queued task that no dispatch speaks for": """
        SELECT t.job_id, t.run, t.stage, t.task_index
        FROM app.tasks t
        JOIN app.jobs j USING (job_id, run, stage) JOIN app.stages s USING (job_id, run, stage)
        WHERE t.status = 'queued' AND j.status = 'processing' AND s.status = 'processing'
          AND NOT EXISTS (SELECT 1 FROM app.outbox o
                          WHERE (o.job_id, o.run, o.stage) = (t.job_id, t.run, t.stage)
                            AND t.task_index BETWEEN o.first AND o.last)""",
    "a stage to be planned that no dispatch speaks for": """
        SELECT j.job_id, j.run, j.stage FROM app.jobs j LEFT JOIN app.stages s USING (job_id, run, stage)
        WHERE j.status IN ('queued', 'processing') AND s.job_id IS NULL
          AND NOT EXISTS (SELECT 1 FROM app.outbox o
                          WHERE (o.job_id, o.run, o.stage, o.queue) = (j.job_id, j.run, j.stage, 'jobs'))""",
    "a dispatch of a job that has ended": """
        SELECT o.* FROM app.outbox o JOIN app.jobs j USING (job_id, run) WHERE j.completed_at IS NOT NULL""",
    "counters that differ from the rows": """
        SELECT p.job_id, p.run, p.stage FROM app.stage_progress p
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE t.status = 'queued') AS queued,
                   count(*) FILTER (WHERE t.status = 'processing') AS processing,
                   count(*) FILTER (WHERE t.status = 'completed') AS completed,
                   count(*) FILTER (WHERE t.status = 'failed') AS failed,
                   count(*) FILTER (WHERE t.status = 'cancelled') AS cancelled
            FROM app.tasks t WHERE (t.job_id, t.run, t.stage) = (p.job_id, p.run, p.stage)) AS n
        WHERE (p.queued, p.processing, p.completed, p.failed, p.cancelled)
              IS DISTINCT FROM (n.queued, n.processing, n.completed, n.failed, n.cancelled)""",
} | {name: f"SELECT * FROM app.{name}" for name in INVARIANTS}
_FIND_PROBLEMS = " UNION ALL ".join(
    f"SELECT '{name}' AS problem, to_jsonb(x) AS found FROM ({query}) AS x"
    for name, query in _PROBLEMS.items()
)

_TIMES = {
    "jobs": ("updated_at", "plan_lease_until"),
    "stages": ("failing_at",),
    "tasks": ("lease_until", "due_at", "completed_at"),
    "outbox": ("taken_until", "redeliver_at", "not_before", "sent_at"),
}


@dataclass(frozen=True)
class Snapshot:
    """The rows that decide. A fence is the database's number, or None."""

    jobs: Mapping[str, tuple[object, ...]]
    stages: Mapping[StageKey, str]
    tasks: Mapping[TaskKey, tuple[object, ...]]
    events: Counter[Event]


def snapshot(admin: Admin, after: int) -> tuple[Snapshot, int]:
    """The state, and the transitions recorded since event `after`; with the number of the newest event."""
    row = admin.execute(_STATE, {"after": after, "recorded": list(RECORDED)}).fetchone()
    assert row is not None
    jobs: dict[str, tuple[object, ...]] = {
        job_id: (status, run, stage, _number(fence), over, *attempts)
        for job_id, status, run, stage, fence, over, *attempts in row["jobs"]
    }
    tasks: dict[Any, tuple[object, ...]] = {
        tuple(key): (status, attempt, suspicion, _number(fence), over, due, tuple(history))
        for *key, status, attempt, suspicion, fence, over, due, history in row["tasks"]
    }
    events = Counter((*what, tuple(done)) for *what, done in row["events"])
    stages = {tuple(key): status for *key, status in row["stages"]}
    return Snapshot(jobs, stages, tasks, events), row["newest"]


def expected(model: Model, fences: Mapping[int, int]) -> Snapshot:
    """What the database should look like, where `fences` translates the model's fences."""

    def real(fence: int | None) -> int | None:
        return None if fence is None else fences.get(fence, -fence)

    return Snapshot(
        jobs={
            job_id: (
                *(j.status, j.run, j.stage, real(j.plan_fence), j.plan_over),
                *(j.plan_attempts, j.plan_spared, j.plan_interruptions),
            )
            for job_id, j in model.jobs.items()
        },
        stages={key: row.status for key, row in model.stages.items()},
        tasks={
            (*key, index): (
                *(t.status, t.attempt, t.suspicion, real(t.fence), t.lease_over),
                *(t.status != "queued" or t.due, tuple(t.history)),
            )
            for key, row in model.stages.items()
            for index, t in enumerate(row.tasks)
        },
        events=Counter(model.events),
    )


def problems(admin: Admin) -> list[dict[str, Any]]:
    """Rows that break an invariant of the design, or one that needs no time: all should always be empty."""
    return admin.execute(_FIND_PROBLEMS).fetchall()


def somebody_waits(admin: Admin) -> bool:
    """Whether a session waits for another's commit."""
    waiting = admin.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting.fetchone() is not None


def forget_everything(admin: Admin) -> None:
    """Empty the tables. DELETE, because TRUNCATE costs more than such few rows."""
    for row in admin.execute(
        "SELECT format('DELETE FROM app.%I', tablename) AS forget FROM pg_tables"
        " WHERE schemaname = 'app' AND tablename <> 'schema_migrations'"
    ).fetchall():
        admin.execute(row["forget"])


def end_of_leases(admin: Admin, model: Model, parity: int) -> None:
    """The leases of the tasks with even or odd index end."""
    admin.execute(
        "UPDATE app.tasks SET lease_until = now() - interval '1 s'"
        " WHERE status = 'processing' AND task_index %% 2 = %s",
        (parity,),
    )
    for row in model.stages.values():
        for task in row.tasks[parity::2]:
            task.lease_over = task.lease_over or task.status == "processing"


def end_of_plan_leases(admin: Admin, model: Model) -> None:
    """The leases of all planners end."""
    admin.execute(
        "UPDATE app.jobs SET plan_lease_until = now() - interval '1 s' WHERE plan_lease_until IS NOT NULL"
    )
    for job in model.jobs.values():
        job.plan_over = job.plan_fence is not None


def stand_still(admin: Admin) -> None:
    """Time passes only where a rule says so, however slow the machine is: what ended, ended just now."""
    admin.execute("UPDATE app.jobs SET updated_at = now() WHERE updated_at < now() - interval '1 s'")
    admin.execute(
        "UPDATE app.tasks SET lease_until = now() - interval '1 s' WHERE lease_until < now() - interval '5 s'"
    )


def hour_passes(admin: Admin, model: Model) -> None:
    """An hour in which nobody does anything: every lease, hold and delay ends."""
    for table, columns in _TIMES.items():
        moved = ", ".join(f"{column} = {column} - interval '1 h'" for column in columns)
        admin.execute(f"UPDATE app.{table} SET {moved}")
    for job in model.jobs.values():
        job.plan_over = job.plan_fence is not None
    for row in model.stages.values():
        for task in row.tasks:
            task.lease_over = task.lease_over or task.status == "processing"
            task.due = True


def _number(fence: str | None) -> int | None:
    # As text, because a fence has more digits than a JSON number is sure to keep.
    return None if fence is None else int(fence)
