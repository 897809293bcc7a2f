"""Runs that ended long ago: found, archived, taken out of sight, and removed page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from interfaces.retention import ArchivedTask, Attempt, EndedStage, OldRun

from .audit import caller
from .database import Database
from .sql_files import queries

Rows = Literal["tasks", "items", "logs", "events"]
"""What a run leaves behind, in the order in which it is removed."""
KINDS: tuple[Rows, ...] = ("tasks", "items", "logs", "events")
COUNTED: tuple[Rows, ...] = ("tasks", "items", "events")

PAGE = 5000
"""Rows deleted in one transaction: a few dozen milliseconds."""
ARCHIVE_PAGE = 500
FIRST_ARCHIVE_PAGE = 20
ARCHIVE_BYTES = 4 * 1024 * 1024
"""Tasks of the archive read at a time: a row can have a megabyte, and the server makes a whole page of them
before it cuts it off, so that pages grow only as long as rows are small."""


class RetentionRepository:
    """Each call is one short transaction; none waits for a row that somebody else has locked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("retention")

    def days_ago(self, days: int) -> datetime:
        """The time so many days ago by the database's clock."""
        before: datetime = self._one("before", days=days)["before"]
        return before

    def old_runs(self, before: datetime, page: int = 100) -> Iterator[OldRun]:
        """Runs that ended before this time, the oldest first; no connection is held in between."""
        after: dict[str, object] = {"after_at": "-infinity", "after_job_id": "", "after_run": 0}
        while True:
            found = [OldRun(**row) for row in self._rows("old_runs", before=before, limit=page, **after)]
            yield from found
            if len(found) < page:
                return
            last = found[-1]
            after = {"after_at": last.completed_at, "after_job_id": last.job_id, "after_run": last.run}

    def remove(self, old: OldRun) -> Literal["job", "run"] | None:
        """Take the run out of sight; answers what is gone, the job or only an earlier run of it.

        None, and nothing is gone: it is not as it was found, or somebody steers the job now.
        """
        named = {"job_id": old.job_id, "run": old.run, "completed_at": old.completed_at}
        row = self._one("remove_run", caller=caller(), **named)
        gone: Literal["job", "run"] | None = row["gone"]
        return gone

    def unswept(self, limit: int = 1000) -> list[OldRun]:
        """Runs out of sight of which something is left."""
        return [OldRun(**row) for row in self._rows("unswept_runs", limit=limit)]

    def sweep(self, old: OldRun, kind: Rows) -> Iterator[int]:
        """Delete what a removed run left behind, a page for each number of rows that this gives."""
        return self._pages(f"sweep_{kind}", job_id=old.job_id, run=old.run)

    def forget(self, old: OldRun) -> bool:
        """End a removal; false where rows are left that somebody else was deleting."""
        return bool(self._one("forget_run", job_id=old.job_id, run=old.run)["done"])

    def count(self, old: OldRun) -> dict[Rows, int]:
        """How many rows would go with the run, what its tasks logged not counted."""
        row = self._one("count_run", job_id=old.job_id, run=old.run)
        return {kind: int(row[kind]) for kind in COUNTED}

    def sweep_audit(self, before: datetime, limit: int = PAGE) -> int:
        """Delete what says who did what before this time; answers how many rows."""
        return int(self._one("sweep_audit", before=before, limit=limit)["removed"])

    def sweep_leftovers(self, before: datetime, limit: int = PAGE) -> int:
        """Delete old rows that no run speaks for, such as poison messages and callbacks; answers how many."""
        rules = ("sweep_leftovers", "sweep_callbacks", "sweep_ticks")
        return sum(int(self._one(rule, before=before, limit=limit)["removed"]) for rule in rules)

    def pass_clean_stages(self, age: timedelta, limit: int = 100) -> int:
        """Note of stages that ended that long ago that nothing was left in them; answers of how many."""
        return int(self._one("pass_clean_stages", age=age, limit=limit)["passed"])

    def uncleaned_stages(self, age: timedelta, limit: int = 100) -> list[EndedStage]:
        """Stages that ended that long ago, in which nobody has looked for leavings."""
        return [EndedStage(**row) for row in self._rows("uncleaned_stages", age=age, limit=limit)]

    def abandoned(self, stage: EndedStage, attempts: Sequence[Attempt]) -> set[Attempt]:
        """Those of the attempts that are over without having completed."""
        rows = self._rows(
            "abandoned_attempts",
            **_place(stage),
            indexes=[attempt.task_index for attempt in attempts],
            fences=[attempt.fence for attempt in attempts],
        )
        return {Attempt(**row) for row in rows}

    def abandoned_items(self, stage: EndedStage) -> list[Attempt]:
        """Abandoned attempts that left items."""
        return [Attempt(**row) for row in self._rows("abandoned_items", **_place(stage))]

    def sweep_attempt(self, stage: EndedStage, attempt: Attempt) -> Iterator[int]:
        """Delete an abandoned attempt's items, a page for each number that this gives."""
        return self._pages(
            "sweep_attempt_items", **_place(stage), task_index=attempt.task_index, fence=attempt.fence
        )

    def cleaned(self, stage: EndedStage) -> None:
        """Note that nothing is left to be looked for in the stage."""
        self._rows("stage_cleaned", **_place(stage), completed_at=stage.completed_at)

    def ended_runs(self, runs: Sequence[tuple[str, int]], age: timedelta) -> list[tuple[str, int]]:
        """Those of these runs, as (job id, run), that ended so long ago, or of which there is no row."""
        job_ids, numbers = [job_id for job_id, _ in runs], [run for _, run in runs]
        rows = self._rows("ended_runs", job_ids=job_ids, runs=numbers, age=age)
        return [(row["job_id"], row["run"]) for row in rows]

    def archived_run(self, old: OldRun) -> str | None:
        """The run as a line of JSON; None where it is not as it was found."""
        rows = self._rows("archived_run", job_id=old.job_id, run=old.run, completed_at=old.completed_at)
        return rows[0]["line"] if rows else None

    def archived_stages(self, old: OldRun) -> list[str]:
        """Its stages, a line each."""
        return [row["line"] for row in self._rows("archived_stages", job_id=old.job_id, run=old.run)]

    def archived_tasks(self, old: OldRun) -> Iterator[ArchivedTask]:
        """Its tasks, read a page at a time."""
        after, limit = (0, -1), FIRST_ARCHIVE_PAGE
        while rows := self._rows(
            "archived_tasks",
            job_id=old.job_id,
            run=old.run,
            after_stage=after[0],
            after_index=after[1],
            limit=limit,
            max_bytes=ARCHIVE_BYTES,
        ):
            yield from (ArchivedTask(**row) for row in rows)
            after = (rows[-1]["stage"], rows[-1]["task_index"])
            limit = min(ARCHIVE_PAGE, 2 * len(rows))

    def archived_logs(self, old: OldRun) -> Iterator[str]:
        """What its attempts logged, a line of JSON for each attempt, read a page at a time."""
        after = (0, -1, -1)
        while rows := self._rows(
            "archived_logs",
            job_id=old.job_id,
            run=old.run,
            after_stage=after[0],
            after_index=after[1],
            after_fence=after[2],
            limit=FIRST_ARCHIVE_PAGE,
        ):
            yield from (row["line"] for row in rows)
            after = (rows[-1]["stage"], rows[-1]["task_index"], rows[-1]["fence"])

    def archived_events(self, old: OldRun) -> Iterator[str]:
        """Its history, a line each, read a page at a time."""
        after = 0
        while rows := self._rows(
            "archived_events", job_id=old.job_id, run=old.run, after_event_id=after, limit=ARCHIVE_PAGE
        ):
            yield from (row["line"] for row in rows)
            after = rows[-1]["event_id"]

    def _pages(self, query: str, **parameters: object) -> Iterator[int]:
        after: list[int] | None = None
        while rows := self._rows(query, **parameters, after=after, limit=PAGE):
            yield int(rows[0]["removed"])
            after = rows[0]["reached"]
            if after is None:
                return

    def _one(self, query: str, **parameters: object) -> dict[str, Any]:
        [row] = self._rows(query, **parameters)
        return row

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            done = connection.execute(self._sql[query], parameters)
            return done.fetchall()


def _place(stage: EndedStage) -> dict[str, object]:
    return {"job_id": stage.job_id, "run": stage.run, "stage": stage.stage}
