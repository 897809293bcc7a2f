"""One job as the operations page draws it: its attempts in time, its failures by error, one task whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from interfaces.errors import FieldError, InvalidRequest, JobNotFound, NotFound

from .bounded import bounded
from .database import Database
from .keyset import Document, Page, Position, page, position
from .progress import task_document
from .sql_files import queries

MOST_FAILED = 100_000
"""Failed tasks that are grouped; beyond them an answer says that it is not complete."""
FAILURE_GROUPS = 100
TASK_EVENTS = 200
LOG = ("stage", "task_index", "attempt", "outcome", "written_at", "dropped", "lines")
LOG_BYTES = 4 * 1024 * 1024


class JobViews:
    """Reads for people who look at one job. Raises `ServiceUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("job_views")

    def origin(self, job_id: str, run: int | None) -> Document:
        """The run's number, where its scale of time begins (`origin`), the job's state, and the time `now`.

        Raises `JobNotFound`, and `InvalidRequest` for a run that the job does not have.
        """
        rows = self._rows("run_origin", job_id=job_id, run=run)
        if not rows:
            raise JobNotFound(f"no job has the id {job_id}")
        (row,) = rows
        if row["origin"] is None:
            reason = f"the job has no such run; its last is {row['current_run']}"
            raise InvalidRequest(f"run: {reason}", errors=[FieldError(field="run", reason=reason)])
        return {
            "run": run or row["current_run"],
            "status": row["status"],
            "origin": row["origin"],
            "now": row["now"],
        }

    def timeline(
        self,
        job_id: str,
        *,
        run: int,
        origin: datetime,
        stage: int | None,
        since: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Tasks by stage and index, each with every attempt as [start, end, outcome].

        Times are seconds after `origin`; the end of an attempt that runs is null. `since` leaves out tasks
        that nothing happened to after so many seconds. `due` is when a waiting task may be claimed.
        """
        after_stage, after_index = position(after, "smallint", "integer") or (0, -1)
        rows = self._rows(
            "timeline",
            job_id=job_id,
            run=run,
            origin=origin,
            stage=stage,
            since=since,
            after_stage=after_stage,
            after_index=after_index,
            limit=limit + 1,
        )
        found, following = page(rows, limit, lambda row: [row["stage"], row["task_index"]])
        return [_attempts(row) for row in found], following

    def failures(self, job_id: str, run: int) -> Document:
        """Failed tasks of a run by what their errors have in common, the most frequent first.

        `pattern` is the error without what differs from task to task, `error` that of the first task whole.
        `complete` is false where more tasks failed than were looked at, or there are more groups.
        """
        rows = self._rows("failures", job_id=job_id, run=run, most=MOST_FAILED, groups=FAILURE_GROUPS + 1)
        counted = rows[0]["counted"] if rows else 0
        shown = [
            {key: value for key, value in row.items() if key != "counted"} for row in rows[:FAILURE_GROUPS]
        ]
        return {
            "failed": counted,
            "complete": counted <= MOST_FAILED and len(rows) <= FAILURE_GROUPS,
            "groups": shown,
        }

    def task(self, job_id: str, *, run: int, stage: int, task_index: int) -> Document:
        """A task with its parameters, attempts, result and the events that name it. Raises `NotFound`."""
        key = {"job_id": job_id, "run": run, "stage": stage, "task_index": task_index}
        rows = self._rows("task", **key)
        if not rows:
            raise NotFound(f"run {run} of the job has no task {task_index} in stage {stage}")
        location = rows[0].pop("result_location") or {}
        return {
            **task_document(rows[0]),
            "result_url": location.get("url"),
            "result_bytes": location.get("bytes"),
            "events": self._rows("task_events", **key, limit=TASK_EVENTS),
        }

    def logs(
        self,
        job_id: str,
        *,
        run: int,
        stage: int | None,
        task_index: int | None,
        severity: int,
        after: Position | None,
        limit: int,
    ) -> Page:
        """What attempts logged that have a line of this severity at least, by task and time.

        A page ends before `limit` when its lines reach 4 MiB as they are stored.
        """
        places = position(after, "smallint", "integer", "time", "bigint")
        after_stage, after_index, after_at, after_fence = places or (0, -1, "-infinity", -1)
        rows = self._rows(
            "task_logs",
            job_id=job_id,
            run=run,
            stage=stage,
            task_index=task_index,
            severity=severity,
            after_stage=after_stage,
            after_index=after_index,
            after_at=after_at,
            after_fence=after_fence,
            limit=limit + 1,
            max_bytes=LOG_BYTES,
        )
        shown = rows[:limit]
        following: Position | None = None
        if shown and shown[0]["found"] > len(shown):
            last = shown[-1]
            at = last["written_at"].isoformat()
            following = [last["stage"], last["task_index"], at, last["fence"]]
        return [{name: row[name] for name in LOG} for row in shown], following

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with bounded(self._database) as connection:
            return connection.execute(self._sql[query], parameters).fetchall()


def _attempts(row: dict[str, Any]) -> Document:
    attempts = [*row["ended"], *([row["last"]] if row["last"] else [])]
    return {**{key: row[key] for key in ("stage", "task_index", "status", "due")}, "attempts": attempts}
