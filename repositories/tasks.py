"""Tasks: claimed, kept alive, finished, and what they discover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg.rows import DictRow
from pydantic import JsonValue

from interfaces.contracts import JobId
from interfaces.costs import Usage, total
from interfaces.errors import PermanentTaskError
from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.queues import TaskMessage
from interfaces.states import JobStatus, TaskStatus

from .database import Database
from .json_text import to_json
from .sql_files import queries

KEPT_SECONDS = 0.001
TaskKey = tuple[str, int, int, int]
"""(job_id, run, stage, task_index)."""


@dataclass(frozen=True)
class AfterNoClaim:
    """Whether the message's tasks wait to be swept, and how many others were let go in its place."""

    to_sweep: bool
    unparked: int


class TaskRepository:
    """Each call is one statement for a whole batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("engine")

    def claim(
        self, job_id: JobId, run: int, stage: int, first: int, last: int, *, worker: str, lease: timedelta
    ) -> list[ClaimedTask]:
        """Claim the due tasks of a range; empty when the message was a repeat or came too late."""
        with self._database.connection() as connection:
            rows = connection.execute(
                self._sql["claim_tasks"],
                {
                    "job_id": job_id,
                    "run": run,
                    "stage": stage,
                    "first": first,
                    "last": last,
                    "worker": worker,
                    "lease": lease,
                },
            ).fetchall()
        return [ClaimedTask(job_id=job_id, run=run, stage=stage, **row) for row in rows]

    def postpone(self, message: TaskMessage, delay_seconds: float) -> bool:
        """Send this message again for later, and claim nothing; false when nobody waits for it."""
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql["postpone_dispatch"],
                {
                    "job_id": message.job_id,
                    "run": message.run,
                    "stage": message.stage,
                    "first": message.first,
                    "last": message.last,
                    "delay": delay_seconds,
                },
            ).fetchone()
        return row is not None and bool(row["postponed"])

    def unpark(self, task_type: str) -> int:
        """Let dispatches of a limited type go for which there is room now; answers how many."""
        with self._database.connection() as connection:
            row = connection.execute(self._sql["unpark"], {"limited_type": f"task:{task_type}"}).fetchone()
        return 0 if row is None else int(row["unparked"])

    def after_no_claim(self, message: TaskMessage) -> AfterNoClaim:
        """What a message is good for of which no task was claimed."""
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql["after_no_claim"],
                {
                    "job_id": message.job_id,
                    "run": message.run,
                    "stage": message.stage,
                    "first": message.first,
                    "last": message.last,
                },
            ).fetchone()
        assert row is not None
        return AfterNoClaim(**row)

    def extend(self, tasks: Sequence[ClaimedTask], lease: timedelta) -> dict[TaskKey, JobStatus]:
        """Renew these leases; answers the tasks still held, each with the state of its job."""
        with self._database.connection() as connection:
            rows = connection.execute(
                self._sql["extend_leases"],
                {
                    "job_ids": [task.job_id for task in tasks],
                    "runs": [task.run for task in tasks],
                    "stages": [task.stage for task in tasks],
                    "indexes": [task.task_index for task in tasks],
                    "fences": [task.fence for task in tasks],
                    "lease": lease,
                },
            ).fetchall()
        return {
            (row["job_id"], row["run"], row["stage"], row["task_index"]): JobStatus(row["job_status"])
            for row in rows
        }

    def finish(
        self, job_id: JobId, run: int, stage: int, worker: str, reports: Sequence[TaskReport]
    ) -> dict[int, TaskStatus]:
        """Write how these attempts ended, where their fence still holds; answers the accepted ones.

        Raises `PermanentTaskError` when the database cannot hold what one of them says; then none is written.
        """
        try:
            rows = self._finish(job_id, run, stage, worker, reports)
        except psycopg.DataError as error:
            raise PermanentTaskError(str(error).partition("\n")[0]) from error
        return {row["task_index"]: TaskStatus(row["status"]) for row in rows}

    def _finish(
        self, job_id: JobId, run: int, stage: int, worker: str, reports: Sequence[TaskReport]
    ) -> list[DictRow]:
        with self._database.connection() as connection:
            return connection.execute(
                self._sql["finish_tasks"],
                {
                    "job_id": job_id,
                    "run": run,
                    "stage": stage,
                    "worker": worker,
                    "indexes": [report.task_index for report in reports],
                    "fences": [report.fence for report in reports],
                    "outcomes": [_outcome(report) for report in reports],
                    "results": _any([report.result for report in reports]),
                    "locations": _any([report.location and to_json(report.location) for report in reports]),
                    "errors": _any([report.error for report in reports]),
                    "delays": _any([float(report.delay_seconds) or None for report in reports]),
                    "usages": _any([_kept(report.usage) for report in reports]),
                    "usage": to_json(dict(total(r.usage for r in reports if r.usage).model_dump())),
                    "seconds": [report.usage and report.usage.seconds for report in reports],
                    "logs": _logs(reports),
                },
            ).fetchall()

    def add_items(self, task: ClaimedTask, start: int, items: Sequence[Mapping[str, JsonValue]]) -> None:
        """Store a page of discovered items; `start` is the sequence number of the first."""
        with (
            self._database.connection() as connection,
            connection.cursor() as cursor,
            cursor.copy(self._sql["copy_items"]) as copy,
        ):
            for seq, item in enumerate(items, start):
                copy.write_row(
                    (
                        task.job_id,
                        task.run,
                        task.stage,
                        task.task_index,
                        task.fence,
                        seq,
                        to_json(dict(item)),
                    )
                )


def _any(values: Sequence[object]) -> Sequence[object] | None:
    """None where all are: in SQL that is the same, and there is nothing to write and to read."""
    return None if all(value is None for value in values) else values


def _kept(usage: Usage | None) -> str | None:
    """What is kept of a task that took anything; of one that took a millisecond, the sum alone is."""
    if usage is None or not (usage.seconds >= KEPT_SECONDS or usage.operations or usage.bytes_read):
        return None
    amounts: dict[str, JsonValue] = {
        name: round(amount, 6) for name, amount in usage if amount and name != "attempts"
    }
    return to_json(amounts)


def _logs(reports: Sequence[TaskReport]) -> str | None:
    """What attempts logged, as JSON; None where none logged anything, as most do not."""
    logs = [
        f'{{"task_index":{report.task_index},"fence":{report.fence},"attempt":{log.attempt},'
        f'"outcome":"{_outcome(report)}","severity":{log.severity},"dropped":{log.dropped},"lines":{log.lines}}}'
        for report in reports
        if (log := report.log) is not None
    ]
    return f"[{','.join(logs)}]" if logs else None


def _outcome(report: TaskReport) -> str:
    return report.outcome or ("deferred" if report.deferred else "retry")
