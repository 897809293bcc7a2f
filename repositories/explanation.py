"""Reads what explains where a job is, in one snapshot."""

from __future__ import annotations

from typing import Any

from interfaces.errors import JobNotFound
from interfaces.explanations import JobFacts

from .connection import Connection
from .database import Database
from .sql_files import queries


class JobExplanation:
    """The facts of a job. Raises `ServiceUnavailable` when the database cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("explanation")
        self._bounds = queries("diagnostics")["bound_statements"]

    def facts(self, job_id: str) -> JobFacts:
        """What is known of the job's current run. Raises `JobNotFound`."""
        with self._database.transaction() as connection:
            connection.execute(self._sql["snapshot"])
            connection.execute(self._bounds)
            named: dict[str, Any] = {"job_id": job_id}
            job = self._one(connection, "job", named)
            if job is None:
                raise JobNotFound(f"no job has the id {job_id}")
            named |= {"run": job["run"], "stage": job["stage"]}
            dispatches = self._all(connection, "dispatches", named)
            limited = {row["parked"] for row in dispatches if row["parked"]}
            return JobFacts.model_validate(
                job
                | {
                    "current": self._one(connection, "stage", named),
                    "running": self._one(connection, "running", named),
                    "dispatches": dispatches,
                    "waiting": self._all(connection, "waiting", named),
                    "failures": self._all(connection, "failures", named),
                    "limits": [
                        self._one(connection, "limit", {"limited_type": name}) for name in sorted(limited)
                    ],
                    "poison": self._one(connection, "poison", named),
                    "callbacks": self._one(connection, "callbacks", named),
                    "followers": self._all(connection, "followers", named),
                    "interrupted": self._one(connection, "interrupted", named),
                    "last_event": self._one(connection, "last_event", named),
                }
            )

    def _one(self, connection: Connection, query: str, named: dict[str, Any]) -> dict[str, Any] | None:
        return connection.execute(self._sql[query], named).fetchone()

    def _all(self, connection: Connection, query: str, named: dict[str, Any]) -> list[dict[str, Any]]:
        return connection.execute(self._sql[query], named).fetchall()
