"""What the API shows of jobs, tasks and their history. Reads only.

Answers are documents: dictionaries of JSON values and datetimes. Listings are read by keyset positions,
so that a page costs the same wherever it lies; a position is a list of JSON values that the caller
hands back to get the next page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interfaces.errors import JobNotFound
from interfaces.states import JobStatus

from .bounded import bounded
from .database import Database
from .keyset import Document, Page, Position, array, page, position
from .progress import job_progress, listed_job, stage_document, task_document
from .sql_files import queries

POISON_REASONS = 100
"""Distinct reasons shown; a reason can quote what was wrong, so there is no end to them."""


class Inspection:
    """Reads for the API. Every method raises `ServiceUnavailable` when the database cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("inspection")

    def job_status(self, job_id: str) -> JobStatus:
        """The job's state. Raises `JobNotFound`."""
        return JobStatus(self._job("job_status", job_id)["status"])

    def progress(self, job_id: str) -> Document:
        """State, stages, progress, result and times of a job. Raises `JobNotFound`."""
        with self._database.connection() as connection:
            # The job first: what is read of its stages afterwards is as new or newer, never older.
            job = connection.execute(self._sql["job_progress"], {"job_id": job_id}).fetchone()
            if job is None:
                raise _no_such_job(job_id)
            stages = connection.execute(self._sql["stages"], {"job_id": job_id, "run": job["run"]}).fetchall()
        return job_progress(job, stages)

    def job(self, job_id: str) -> Document:
        """A job's row and those of its run's stages. Raises `JobNotFound`."""
        job = self._job("job", job_id)
        stages = self._rows("stages", job_id=job_id, run=job["run"])
        return {**job, "stages": [stage_document(stage) for stage in stages]}

    def jobs(
        self,
        *,
        statuses: Sequence[str],
        job_type: str | None,
        stage: int | None,
        hours: float | None,
        search: str | None = None,
        contains: str | None = None,
        parameter: tuple[str, str] | None = None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Jobs, newest first; `hours` selects those that changed within that time.

        `search`: those each of whose words is the beginning of their id, or of a word in a value of their
        parameters, in any case. `contains`: those with that text anywhere in a value, which is looked for
        job by job and given up after 5 s with `ServiceUnavailable`.
        `parameter`: those in which the parameter of this name has this value, as text.
        """
        at, job_id = position(after, "time", "text") or (None, None)
        asked = {
            "statuses": array(statuses),
            "job_type": job_type,
            "stage": stage,
            "hours": hours,
            "search": search,
            "contains": contains,
            "name": parameter[0] if parameter else None,
            "value": parameter[1] if parameter else None,
            "after_at": at,
            "after_job_id": job_id,
            "limit": limit + 1,
        }
        # Text inside words, and what nearly every job has, is looked for in job after job.
        with bounded(self._database) as connection:
            rows = connection.execute(self._sql["jobs"], asked).fetchall()
        found, following = page(rows, limit, lambda row: [row["created_at"].isoformat(), row["job_id"]])
        return [listed_job(row) for row in found], following

    def tasks(
        self,
        *,
        statuses: Sequence[str],
        task_type: str | None,
        stage: int | None,
        hours: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Tasks of all jobs' current runs: newest job first, in each by stage and index."""
        at, job_id, after_stage, after_index = position(after, "time", "text", "smallint", "integer") or (
            None,
            None,
            0,
            -1,
        )
        rows = self._rows(
            "tasks",
            statuses=array(statuses),
            task_type=task_type,
            stage=stage,
            hours=hours,
            after_at=at,
            after_job_id=job_id,
            after_stage=after_stage,
            after_index=after_index,
            limit=limit + 1,
        )
        found, following = page(
            rows,
            limit,
            lambda row: [row["job_created_at"].isoformat(), row["job_id"], row["stage"], row["task_index"]],
        )
        return [task_document(row) for row in found], following

    def job_tasks(
        self,
        job_id: str,
        *,
        run: int | None,
        statuses: Sequence[str],
        task_type: str | None,
        stage: int | None,
        hours: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Tasks of one run of a job, the current one by default. Raises `JobNotFound`."""
        job = self._job("job", job_id)
        after_stage, after_index = position(after, "smallint", "integer") or (0, -1)
        rows = self._rows(
            "job_tasks",
            job_id=job_id,
            run=run or job["run"],
            statuses=array(statuses),
            task_type=task_type,
            stage=stage,
            hours=hours,
            after_stage=after_stage,
            after_index=after_index,
            limit=limit + 1,
        )
        found, following = page(rows, limit, lambda row: [row["stage"], row["task_index"]])
        return [task_document({**row, "job_type": job["job_type"]}) for row in found], following

    def events(self, job_id: str, *, after: Position | None, limit: int) -> Page:
        """A job's history, oldest first. Raises `JobNotFound`."""
        self._job("job_status", job_id)
        (after_event_id,) = position(after, "bigint") or (0,)
        rows = self._rows("events", job_id=job_id, after_event_id=after_event_id, limit=limit + 1)
        return page(rows, limit, lambda row: [row["event_id"]])

    def poison(self, newest: int) -> Document:
        """Recorded poison messages: how many, by queue and reason, and the newest."""
        by_queue = {row["queue"]: row["count"] for row in self._rows("poison_queues")}
        return {
            "total": sum(by_queue.values()),
            "by_queue": by_queue,
            "by_reason": self._rows("poison_groups", limit=POISON_REASONS),
            "newest": self._rows("poison_newest", limit=newest),
        }

    def _job(self, query: str, job_id: str) -> dict[str, Any]:
        rows = self._rows(query, job_id=job_id)
        if not rows:
            raise _no_such_job(job_id)
        return rows[0]

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchall()


def _no_such_job(job_id: str) -> JobNotFound:
    return JobNotFound(f"no job has the id {job_id}")
