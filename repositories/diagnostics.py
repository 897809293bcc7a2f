"""What the whole app looks like, and whether database and code agree. Reads only."""

from __future__ import annotations

import re
from enum import StrEnum
from time import perf_counter
from typing import Any

import psycopg

from interfaces.states import FailurePolicy, JobStatus, StageStatus, TaskStatus

from .connection import Connection
from .database import Database
from .keyset import Document
from .sql_files import ROOT, queries

ENUMS: dict[str, type[StrEnum]] = {
    "failure_policy": FailurePolicy,
    "job_status": JobStatus,
    "stage_status": StageStatus,
    "task_status": TaskStatus,
}
"""Enums of the schema and the Python enums that must say the same."""

NO_JOB = "0" * 64
"""An id no job has: nothing hashes to it within the life of the universe."""

_FUNCTION = re.compile(r"^CREATE OR REPLACE FUNCTION app\.(\w+)", re.MULTILINE)


class Diagnostics:
    """Reads for operators. Every method raises `ServiceUnavailable` when the database cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("diagnostics")

    def stats(self) -> Document:
        """Jobs by type and state, tasks by state, the outbox, poison messages and table sizes."""
        with self._database.long_connection() as connection:
            by_type = self._rows(connection, "jobs_by_type")
            poison = connection.execute(queries("inspection")["poison_queues"]).fetchall()
            return {
                "jobs": _job_counts(by_type),
                "durations_last_day": self._rows(connection, "durations"),
                "tasks": self._rows(connection, "tasks_by_status")[0],
                "outbox": _outbox(self._rows(connection, "outbox")),
                "poison": {row["queue"]: row["count"] for row in poison},
                "tables": self._rows(connection, "table_sizes"),
                "server": self._rows(connection, "server")[0],
            }

    def outbox(self) -> Document:
        """Messages that wait to be sent, are held back, or were sent and not acted upon."""
        with self._database.connection() as connection:
            return _outbox(self._rows(connection, "outbox"))

    def recent(self, limit: int) -> Document:
        """What lives, what failed, what waits and what happened last; at most `limit` of each."""
        names = ("live_jobs", "running_tasks", "failed_tasks", "oldest_dispatches", "newest_events")
        with self._database.connection() as connection:
            return {name: self._rows(connection, name, limit=limit) for name in names}

    def server_version(self) -> str:
        """The version of PostgreSQL."""
        with self._database.connection() as connection:
            return str(self._rows(connection, "server")[0]["version"])

    def enums(self) -> Document:
        """Compare the schema's enums with Python's."""
        with self._database.connection() as connection:
            stored = {row["name"]: row["labels"] for row in self._rows(connection, "enums")}
        compared = [_compare(name, ENUMS.get(name), stored.get(name)) for name in sorted({*ENUMS, *stored})]
        return {"equal": all(enum["equal"] for enum in compared), "enums": compared}

    def functions(self) -> Document:
        """Whether every function of `sql/functions` exists and, where a harmless call is known, works.

        They are called about a job that does not exist, in a transaction that is rolled back.
        """
        with self._database.connection() as connection:
            present = {row["name"]: row["arguments"] for row in self._rows(connection, "functions")}
            calls = queries("function_calls")
            tried = []
            with connection.transaction(force_rollback=True):
                connection.execute(self._sql["bound_statements"])
                for name in expected_functions():
                    call = calls.get(name) if name in present else None
                    outcome = _try(connection, call) if call else {"called": False}
                    document = {"name": name, "exists": name in present, "arguments": present.get(name)}
                    tried.append({**document, **outcome})
        broken = [f["name"] for f in tried if not f["exists"] or f.get("error")]
        return {"ok": not broken, "broken": broken, "functions": tried}

    def _rows(self, connection: Connection, query: str, **parameters: object) -> list[dict[str, Any]]:
        return connection.execute(self._sql[query], parameters).fetchall()


def expected_functions() -> list[str]:
    """The functions that `sql/functions` creates, in the order in which they are created."""
    files = sorted((ROOT / "functions").glob("*.sql"))
    return [name for file in files for name in _FUNCTION.findall(file.read_text(encoding="utf-8"))]


def _try(connection: Connection, call: str) -> Document:
    started = perf_counter()
    error: str | None = None
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(call, {"job_id": NO_JOB})
    except psycopg.Error as raised:
        error = f"{type(raised).__name__}: {raised.diag.message_primary or 'no message'}"
    return {"called": True, "error": error, "duration_ms": round((perf_counter() - started) * 1000, 2)}


def _job_counts(by_type: list[dict[str, Any]]) -> Document:
    by_status = {str(status): 0 for status in JobStatus}
    types: dict[str, dict[str, int]] = {}
    for row in by_type:
        by_status[row["status"]] += row["count"]
        types.setdefault(row["job_type"], {})[row["status"]] = row["count"]
    live = sum(by_status[status] for status in JobStatus if not status.is_terminal)
    return {"total": sum(by_status.values()), "live": live, "by_status": by_status, "by_type": types}


def _outbox(rows: list[dict[str, Any]]) -> Document:
    oldest = [row["oldest_pending_seconds"] for row in rows if row["oldest_pending_seconds"] is not None]
    return {
        "pending": sum(row["pending"] for row in rows),
        "parked": sum(row["parked"] for row in rows),
        "sent": sum(row["sent"] for row in rows),
        "oldest_pending_seconds": max(oldest, default=None),
        "by_queue": rows,
    }


def _compare(name: str, enum: type[StrEnum] | None, labels: list[str] | None) -> dict[str, Any]:
    python = [str(member) for member in enum] if enum else []
    database = labels or []
    return {
        "name": name,
        "equal": python == database,
        "python": python,
        "database": database,
        "missing_in_database": [label for label in python if label not in database],
        "missing_in_python": [label for label in database if label not in python],
    }
