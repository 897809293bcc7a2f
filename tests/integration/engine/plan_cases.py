"""Every hot statement, and which indexes it needs to be one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from repositories.sql_files import queries
from tests.integration.engine.plan_scenes import HELD, parameters


@dataclass(frozen=True)
class Case:
    """A call by its name in sql/queries, and what it answers."""

    file: str
    query: str
    returned: int
    about: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Other values than those of the scene. A function is given the number of tasks."""
    prepare: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Indexes without any one of which it reads more, the more there is."""

    @property
    def circumstances(self) -> tuple[str, ...]:
        """Under which it must read little.

        The protocol's functions keep plans, and meet tables just filled. What people ask is planned each
        time.
        """
        if self.file != "inspection" and re.search(r"app\.\w+\(", queries(self.file)[self.query]):
            return "statistics", "no statistics", "generic plans"
        return ("statistics",)

    def values(self, tasks: int) -> dict[str, Any]:
        """What it is called with where the stage has so many tasks."""
        own = {name: value(tasks) if callable(value) else value for name, value in self.parameters.items()}
        return parameters(tasks) | own

    def __str__(self) -> str:
        return " ".join(filter(None, (self.query, self.about)))


def _outcome(outcome: str) -> dict[str, Any]:
    completed = outcome == "completed"
    return {
        "outcomes": [outcome] * HELD,
        "results": ["{}" if completed else None] * HELD,
        "errors": [None if completed else "why"] * HELD,
    }


_LOGS = (
    '[{"task_index":520,"fence":520,"attempt":1,"outcome":"completed","severity":20,"dropped":0,"lines":[]}]'
)

_BRIEF = {"job_id": "1" * 64}
"""Another job that runs, with a history of three events."""

NO_SEARCH = {"search": None, "contains": None, "name": None, "value": None}

# What is not always there: each grows with the size, and is none of the business of who is measured.
_JOBS_WAIT = (
    "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages)"
    " SELECT encode(sha256(('waits' || i)::bytea), 'hex'), 'w', '{}', 1"
    " FROM generate_series(1, %(n)s / 10) AS i",
    "INSERT INTO app.outbox (queue, job_id, run, stage, parked)"
    " SELECT 'jobs', job_id, 1, 1, 'job:w' FROM app.jobs WHERE job_type = 'w'",
)
_BACKLOG_OF_OTHERS = (
    "INSERT INTO app.outbox (queue, job_id, run, stage, first, last)"
    " SELECT 'tasks', repeat('1', 64), 1, 1, i, i FROM generate_series(1, %(n)s / 10) AS i",
)
_OTHERS_RUN = (
    "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status)"
    " SELECT encode(sha256(('runs' || i)::bytea), 'hex'), 'z', '{}', 1, 'processing'"
    " FROM generate_series(1, %(n)s / 10) AS i",
    "INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size, on_failure,"
    " max_attempts) SELECT job_id, 1, 1, 'a', 'z', 1, 1, 'fail_job', 3 FROM app.jobs WHERE job_type = 'z'",
    "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, worker, fence, lease_until)"
    " SELECT job_id, 1, 1, 0, '{}', 'processing', 'other', 1, now() + interval '1 hour' FROM app.jobs"
    " WHERE job_type = 'z'",
)
_SUSPECTS = (
    "UPDATE app.tasks SET suspicion = 2 WHERE job_id = %(job_id)s AND run = 1 AND stage = 1"
    " AND task_index BETWEEN %(first)s AND %(last)s",
)
_RUN_IS_REMOVED = (
    "INSERT INTO app.past_runs SELECT %(job_id)s, 1, 'failed', NULL, 'why', '', now(), now(), now(), now()",
)
HOT = (
    # Fan-outs.
    Case("engine", "count_results", 1),
    # Tasks.
    Case("engine", "claim_tasks", 50),
    Case("engine", "claim_tasks", 0, "that have ended", {"first": 10, "last": 59}),
    Case(
        "engine",
        "claim_tasks",
        20,
        "of a limited type",
        # Of fifty there is room for twenty; the others are parked.
        prepare=(*_OTHERS_RUN, "INSERT INTO app.concurrency_limits VALUES ('task:x', 70)"),
        needs=("stages_live_of_type", "tasks_processing", "outbox_of_stage"),
    ),
    Case(
        "engine", "claim_tasks", 1, "a suspect", prepare=(*_OTHERS_RUN, *_SUSPECTS), needs=("tasks_suspect",)
    ),
    Case("engine", "finish_tasks", 50, "completed", _outcome("completed")),
    Case("engine", "finish_tasks", 50, "that logged something", _outcome("completed") | {"logs": _LOGS}),
    Case("engine", "finish_tasks", 50, "failed", _outcome("failed"), needs=("tasks_failed",)),
    Case("engine", "finish_tasks", 50, "retry", _outcome("retry")),
    Case("engine", "finish_tasks", 50, "deferred", _outcome("deferred"), needs=("outbox_of_stage",)),
    Case("engine", "extend_leases", 50),
    Case("engine", "fail_tasks", 1, parameters={"error": "why"}, needs=("tasks_failed",)),
    Case("engine", "finish_stage", 1, "that is not finished", needs=("tasks_unfinished",)),
    Case(
        "engine",
        "judge_canary",
        1,
        prepare=("UPDATE app.stages SET held_from = 20 WHERE job_id = %(job_id)s",),
    ),
    Case(
        "engine",
        "sweep_stage",
        1,
        prepare=("UPDATE app.stages SET status = 'failing' WHERE job_id = %(job_id)s",),
        needs=("tasks_unfinished",),
    ),
    Case("engine", "after_no_claim", 1, "of a live stage"),
    Case(
        "engine",
        "after_no_claim",
        1,
        "of a stage to be swept",
        {"first": 0, "last": lambda n: n - 1},
        ("UPDATE app.stages SET status = 'failing' WHERE job_id = %(job_id)s",),
    ),
    # Jobs and their planning.
    Case(
        "engine",
        "submit_job",
        1,
        parameters={
            "job_id": "f" * 64,
            "job_type": "x",
            "parameters": "{}",
            "total_stages": 1,
            "correlation_id": "",
            "rerun": False,
        },
    ),
    Case("engine", "cancel_job", 1),
    Case(
        "engine",
        "claim_plan",
        1,
        "of a limited type",
        {"job_id": "f" * 64},
        (
            *_JOBS_WAIT,
            "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages)"
            " VALUES (%(job_id)s, 'y', '{}', 1)",
            "INSERT INTO app.concurrency_limits VALUES ('job:y', 100)",
        ),
        needs=("jobs_running",),
    ),
    Case("engine", "stage_results", 0),
    Case("engine", "outcomes_page", 100, parameters={"after": lambda n: n // 2}),
    # Messages.
    Case("engine", "take_dispatches", 20, "of all", {"job_id": None}, needs=("outbox_pending",)),
    Case(
        "engine",
        "take_dispatches",
        20,
        "of one job",
        prepare=_BACKLOG_OF_OTHERS,
        needs=("outbox_pending_of_job",),
    ),
    Case(
        "engine",
        "mark_sent",
        1,
        prepare=("UPDATE app.outbox SET taken_until = now() WHERE dispatch_id <= 20",),
    ),
    Case("engine", "release_dispatches", 1),
    Case("engine", "postpone_dispatch", 1, parameters={"delay": 1.0}, needs=("outbox_of_stage",)),
    Case(
        "engine",
        "unpark",
        1,
        parameters={"limited_type": "job:y"},
        prepare=(
            *_JOBS_WAIT,
            "INSERT INTO app.concurrency_limits VALUES ('job:y', 100)",
            "UPDATE app.outbox SET parked = 'job:y' WHERE dispatch_id <= 20",
        ),
        needs=("outbox_parked", "jobs_running"),
    ),
    # The reconciler.
    Case(
        "engine",
        "reconcile_leases",
        50,
        prepare=(
            "UPDATE app.tasks SET lease_until = now() - interval '1 s'"
            " WHERE job_id = %(job_id)s AND status = 'processing'",
        ),
        needs=("tasks_processing",),
    ),
    Case("engine", "stalled_stages", 0, prepare=_JOBS_WAIT, needs=("jobs_running", "tasks_unfinished")),
    Case(
        "engine",
        "expect_passed",
        1,
        parameters={"queue": "tasks", "front": datetime.now(UTC), "margin": timedelta(seconds=30)},
        prepare=(
            "UPDATE app.outbox SET sent_at = now() - interval '1 h', not_before = now() - interval '1 h'"
            " WHERE job_id = %(job_id)s AND first BETWEEN %(middle)s + 100 AND %(middle)s + 129",
        ),
        needs=("outbox_in_queue",),
    ),
    Case(
        "engine",
        "expect_waiting",
        1,
        parameters={
            "queue": "tasks",
            "front": datetime.now(UTC) - timedelta(hours=2),
            "margin": timedelta(seconds=30),
            "longest": timedelta(hours=2),
        },
        prepare=(
            "UPDATE app.outbox SET sent_at = now() - interval '1 h', redeliver_at = now() - interval '1 s'"
            " WHERE job_id = %(job_id)s AND first BETWEEN %(middle)s + 100 AND %(middle)s + 129",
        ),
        needs=("outbox_sent",),
    ),
    Case("engine", "reconcile_dispatches", 1, needs=("outbox_sent",)),
    Case("engine", "reconcile_undispatched", 0, needs=("jobs_live", "outbox_of_stage")),
    Case(
        "engine",
        "reconcile_plans",
        1,
        prepare=(
            "UPDATE app.jobs SET plan_lease_until = now() - interval '1 s' WHERE job_id = repeat('1', 64)",
        ),
        needs=("jobs_live", "outbox_of_stage"),
    ),
    Case("engine", "reconcile_counters", 0, needs=("stages_live_of_type",)),
    Case(
        "engine",
        "reconcile_limits",
        1,
        prepare=(*_JOBS_WAIT, "INSERT INTO app.concurrency_limits VALUES ('job:w', 5)"),
        needs=("outbox_parked", "jobs_running"),
    ),
    Case(
        "engine",
        "count_raised",
        1,
        needs=("poison_messages_of_job",),
    ),
    # What people and pages ask.
    Case("inspection", "job_status", 1),
    Case("inspection", "job_progress", 1),
    Case("inspection", "stages", 1),
    Case("inspection", "jobs", 100, parameters={"stage": None} | NO_SEARCH, needs=("jobs_newest",)),
    Case("job_views", "run_origin", 1),
    Case("job_views", "task", 1, parameters={"task_index": 0}),
    Case("job_views", "timeline", 100, parameters={"origin": datetime.now(UTC), "since": None}),
    Case(
        "inspection",
        "jobs",
        5,
        "by a parameter",
        {"stage": None} | NO_SEARCH | {"name": "container", "value": "north"},
        (
            "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, created_at)"
            " SELECT encode(sha256(('north' || i)::bytea), 'hex'), 'x', '{\"container\": \"north\"}', 1,"
            " now() - interval '1 year' FROM generate_series(1, 5) AS i",
        ),
        needs=("jobs_parameters",),
    ),
    Case(
        "inspection",
        "jobs",
        5,
        "by words",
        {"stage": None} | NO_SEARCH | {"search": "survey/north_0"},
        (
            "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, created_at)"
            " SELECT encode(sha256(('north' || i)::bytea), 'hex'), 'x',"
            " '{\"name\": \"survey/north_01.tif\"}', 1, now() - interval '1 year'"
            " FROM generate_series(1, 5) AS i",
        ),
        needs=("jobs_words",),
    ),
    Case("inspection", "tasks", 100, "of all jobs", {"stage": None}, needs=("jobs_newest",)),
    Case(
        "inspection",
        "job_tasks",
        5,
        "that failed",
        {"after_index": -1, "statuses": "{failed}"},
        needs=("tasks_failed",),
    ),
    Case("inspection", "results", 100, parameters={"statuses": "{completed,processing,queued}"}),
    Case("inspection", "events", 100),
    Case("costs", "run", 1),
    Case("costs", "stages", 1),
    Case("costs", "standing", 1),
    Case(
        "inspection",
        "events",
        3,
        "of a brief job",
        {**_BRIEF, "after_event_id": 0},
        needs=("job_events_of_job",),
    ),
    # What tools ask every few seconds.
    Case("signals", "totals", 0),
    Case("signals", "jobs", 2, needs=("jobs_live",)),
    Case("signals", "tasks", 2, needs=("stages_live_of_type",)),
    Case("signals", "outbox", 1),
    Case("signals", "parked", 0, needs=("outbox_parked",)),
    Case("signals", "stuck", 4, needs=("tasks_processing", "jobs_live", "outbox_sent")),
    # Retention.
    Case(
        "retention",
        "old_runs",
        10,
        parameters={"after_at": "-infinity", "after_job_id": "", "after_run": 0},
        needs=("jobs_ended", "past_runs_ended"),
    ),
    Case("retention", "unswept_runs", 5, needs=("past_runs_removed",)),
    Case("retention", "sweep_tasks", 1, prepare=_RUN_IS_REMOVED),
    Case("retention", "sweep_tasks", 1, "further on", {"after": lambda n: [1, n // 2]}, _RUN_IS_REMOVED),
    Case("retention", "sweep_items", 1, prepare=_RUN_IS_REMOVED),
    Case(
        "retention", "sweep_items", 1, "further on", {"after": lambda n: [1, n // 2, 1, 0]}, _RUN_IS_REMOVED
    ),
    Case("retention", "sweep_events", 1, prepare=_RUN_IS_REMOVED),
    Case("retention", "sweep_events", 1, "further on", {"after": lambda n: [n // 2]}, _RUN_IS_REMOVED),
    Case("retention", "sweep_events", 1, "of a brief job", _BRIEF, _RUN_IS_REMOVED, ("job_events_of_job",)),
    Case("retention", "uncleaned_stages", 5, needs=("stages_uncleaned",)),
    Case("retention", "pass_clean_stages", 1, needs=("stages_uncleaned",)),
    Case("retention", "ended_runs", 0),
    Case("retention", "archived_events", 100),
    Case(
        "retention",
        "archived_events",
        3,
        "of a brief job",
        {**_BRIEF, "after_event_id": 0},
        needs=("job_events_of_job",),
    ),
)
"""What is called once for each message, each firing of a timer or each request."""

ONCE_A_STAGE = (
    Case("engine", "count_items", 1),
    Case(
        "engine",
        "insert_tasks_from_items",
        1,
        parameters={"stage": 2, "limit": 1_000_000},
    ),
    Case(
        "engine",
        "insert_tasks_from_item_groups",
        1,
        parameters={"stage": 2, "limit": 1_000_000, "group_by": "target"},
        prepare=("UPDATE app.stage_items SET item = jsonb_build_object('target', task_index / 3)",),
    ),
    Case(
        "engine",
        "insert_tasks_from_results",
        1,
        parameters={"stage": 2, "limit": 1_000_000, "select": '{"b": "a"}'},
    ),
    Case(
        "engine",
        "finish_stage",
        1,
        "that is finished",
        prepare=(
            "UPDATE app.tasks SET status = 'completed', result = '{}' WHERE job_id = %(job_id)s"
            " AND status IN ('queued', 'processing')",
        ),
    ),
)
"""What reads all tasks of a stage, and may: once."""
