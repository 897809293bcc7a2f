"""Outcomes of a stage's tasks, page by page, as they are handed out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from interfaces.errors import FieldError, InvalidRequest, JobNotFound

from .database import Database
from .keyset import Document, Page, Position, array, position
from .progress import task_id
from .sql_files import queries

PAGE_BYTES = 16 * 1024 * 1024
"""A page of results ends early at this size: a thousand results of a megabyte fit no memory."""
DOWNLOAD_ROWS = 1000


@dataclass(frozen=True)
class StageScope:
    """The tasks of one stage of one run; `stage` is None while no stage has tasks."""

    job_id: str
    run: int
    stage: int | None
    statuses: tuple[str, ...] = ()


class Results:
    """Reads results. They stay JSON text (`result`), because most of them are passed on as they are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("inspection")

    def scope(
        self, job_id: str, *, run: int | None, stage: int | None, statuses: Sequence[str]
    ) -> StageScope:
        """What is asked for: by default the last stage that has tasks, of the current run.

        Raises `JobNotFound`, and `InvalidRequest` for a run or stage that the job cannot have.
        """
        rows = self._rows("result_scope", {"job_id": job_id, "run": run})
        if not rows:
            raise JobNotFound(f"no job has the id {job_id}")
        (job,) = rows
        _within("run", run, job["current_run"])
        _within("stage", stage, job["total_stages"])
        # Without a stage that has tasks there are no results: a run that is being removed shows no parts.
        chosen = (stage or job["last_stage"]) if job["last_stage"] is not None else None
        return StageScope(job_id, run or job["current_run"], chosen, tuple(statuses))

    def page(self, scope: StageScope, *, after: Position | None, limit: int) -> Page:
        """At most `limit` outcomes by task index, fewer where they are large; at least one if any is left."""
        (after_index,) = position(after, "integer") or (-1,)
        if scope.stage is None:
            return [], None
        rows = self._rows(
            "results",
            {**_parameters(scope), "after_index": after_index, "limit": limit, "max_bytes": PAGE_BYTES},
        )
        more = bool(rows) and rows[-1]["more_follow"]
        return [_outcome(scope, row) for row in rows], [rows[-1]["task_index"]] if more else None

    def rows(self, scope: StageScope, *, after: Position | None, limit: int | None) -> Iterator[Document]:
        """All outcomes, or the first `limit`, read a page at a time; no connection is held in between."""
        left = limit
        while left is None or left > 0:
            found, after = self.page(scope, after=after, limit=min(left or DOWNLOAD_ROWS, DOWNLOAD_ROWS))
            yield from found
            left = None if left is None else left - len(found)
            if after is None:
                return

    def keys(self, scope: StageScope, limit: int) -> list[str] | None:
        """The keys that occur in the results, sorted; None when there are more than `limit`."""
        if scope.stage is None:
            return []
        rows = self._rows("result_keys", {**_parameters(scope), "limit": limit})
        return sorted(row["key"] for row in rows) if len(rows) <= limit else None

    def _rows(self, query: str, parameters: dict[str, object]) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchall()


def _parameters(scope: StageScope) -> dict[str, object]:
    return {
        "job_id": scope.job_id,
        "run": scope.run,
        "stage": scope.stage,
        "statuses": array(scope.statuses),
    }


def _outcome(scope: StageScope, row: dict[str, Any]) -> Document:
    location = row["result_location"] or {}
    return {
        "task_id": task_id(scope.job_id, scope.run, scope.stage or 0, row["task_index"]),
        "task_index": row["task_index"],
        "status": row["status"],
        "attempt": row["attempt"],
        "result": row["result"],
        "result_url": location.get("url"),
        "result_bytes": location.get("bytes"),
        "result_sha256": location.get("sha256"),
        "error": row["error"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
    }


def _within(field: str, asked: int | None, largest: int) -> None:
    if asked is not None and asked > largest:
        reason = f"this job's last {field} is {largest}"
        raise InvalidRequest(f"{field}: {reason}", errors=[FieldError(field=field, reason=reason)])
