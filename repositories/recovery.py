"""What stopped moving, found and moved; and messages that cannot be processed, recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from interfaces.contracts import JobId

from .audit import caller
from .database import Database
from .json_text import clean_text
from .sql_files import queries


@dataclass(frozen=True)
class StalledStage:
    """A stage to look at: `rule` is `advance`, `sweep` or `canary`."""

    job_id: str
    run: int
    stage: int
    rule: str


@dataclass(frozen=True)
class PoisonMessage:
    """A message as it is recorded. `raw` holds its first 1,000 characters."""

    queue: str
    message_id: str
    reason: str
    raw: str
    bytes: int
    dequeue_count: int
    correlation_id: str
    job_id: JobId | None = None
    run: int | None = None
    stage: int | None = None
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class NamedWork:
    """What a recorded message named, and the state of that job; it has none when it is gone."""

    job_id: JobId | None
    run: int | None
    stage: int | None
    first: int | None
    last: int | None
    status: str | None
    current_run: int | None
    current_stage: int | None


class RecoveryRepository:
    """One call for each rule of the reconciler; each answers how much it moved."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("engine")

    def ended_leases(
        self, patience: timedelta, lease: timedelta, limit: int = 1000
    ) -> list[tuple[str, int, int]]:
        """Requeue or fail tasks whose lease ended; answers (job, run, stage) of each.

        From a process that renews others, a task is taken once its lease has been over for `patience`.
        `lease` is how long leases are.
        """
        return self._keys("reconcile_leases", limit=limit, patience=patience, lease=lease)

    def dead_planners(self) -> list[tuple[str, int, int]]:
        """Wake another planner where one died."""
        return self._keys("reconcile_plans")

    def stalled_stages(self) -> list[StalledStage]:
        """Stages that have ended and were not advanced, or that are to be swept."""
        with self._database.connection() as connection:
            return [StalledStage(**row) for row in connection.execute(self._sql["stalled_stages"])]

    def vanished_messages(self, limit: int = 1000) -> list[tuple[str, int, int]]:
        """Make dispatches pending again whose work nobody took up, and remove settled ones."""
        return self._keys("reconcile_dispatches", limit=limit)

    def passed_messages(self, queue: str, front: datetime, margin: timedelta, limit: int = 10_000) -> int:
        """Let dispatches of "jobs" or "tasks" count as lost whose messages their queue has passed.

        `front`: when the oldest of the messages at its front was put. Answers how many those are.
        """
        return int(self._one("expect_passed", queue=queue, front=front, margin=margin, limit=limit)["n"])

    def waiting_messages(
        self, queue: str, front: datetime, margin: timedelta, longest: timedelta, limit: int = 10_000
    ) -> int:
        """Spare dispatches whose messages are behind the front of their queue, sent less than `longest` ago.

        `front`: as in `passed_messages`. Answers how many would have been sent again soon.
        """
        given = {"queue": queue, "front": front, "margin": margin, "longest": longest, "limit": limit}
        return int(self._one("expect_waiting", **given)["n"])

    def undispatched(self) -> list[tuple[str, int, int]]:
        """Dispatch work that no dispatch speaks for."""
        return self._keys("reconcile_undispatched")

    def freed_limits(self) -> int:
        """Let parked dispatches go for which there is room."""
        return int(self._one("reconcile_limits")["unparked"])

    def drifted_counters(self) -> list[tuple[str, int, int]]:
        """Count stages anew whose counters do not add up."""
        return self._keys("reconcile_counters")

    def record(self, message: PoisonMessage, action: str) -> bool:
        """Record a message once; false when it was recorded before."""
        row = self._one(
            "record_poison",
            queue=message.queue,
            message_id=message.message_id,
            reason=clean_text(message.reason),
            raw=clean_text(message.raw),
            bytes=message.bytes,
            dequeue_count=message.dequeue_count,
            job_id=message.job_id,
            run=message.run,
            stage=message.stage,
            first=message.first,
            last=message.last,
            correlation_id=clean_text(message.correlation_id),
            action=action,
        )
        return bool(row["recorded"])

    def named_by_poison(self, poison_id: int) -> NamedWork | None:
        """What a recorded message named; None where none has this number."""
        with self._database.connection() as connection:
            row = connection.execute(self._sql["named_by_poison"], {"poison_id": poison_id}).fetchone()
        return NamedWork(**row) if row else None

    def times_raised(self, message: PoisonMessage) -> tuple[int, str]:
        """How many messages about this work raised an error since it was last taken up; the newest error."""
        row = self._one(
            "count_raised",
            job_id=message.job_id,
            run=message.run,
            stage=message.stage,
            first=message.first,
            last=message.last,
        )
        return int(row["n"]), str(row["reason"])

    def dispatch_again(
        self, job_id: JobId, run: int, stage: int, first: int | None, last: int | None
    ) -> bool:
        """Wake the work a lost message was about, if it still waits."""
        row = self._one("dispatch_again", job_id=job_id, run=run, stage=stage, first=first, last=last)
        return bool(row["dispatched"])

    def replay(
        self, poison_id: int, job_id: JobId, run: int, stage: int, first: int | None, last: int | None
    ) -> bool:
        """The same for what a recorded message was about, because somebody asks for it."""
        named = {"job_id": job_id, "run": run, "stage": stage, "first": first, "last": last}
        row = self._one("replay_message", poison_id=poison_id, caller=caller(), **named)
        return bool(row["dispatched"])

    def fail_tasks(
        self, job_id: JobId, run: int, stage: int, first: int, last: int, error: str
    ) -> int | None:
        """Fail the named tasks that are not terminal; answers how many, or None where none is there."""
        row = self._one(
            "fail_tasks", job_id=job_id, run=run, stage=stage, first=first, last=last, error=error
        )
        failed: int | None = row["failed"]
        return failed

    def _keys(self, query: str, **parameters: object) -> list[tuple[str, int, int]]:
        with self._database.connection() as connection:
            rows = connection.execute(self._sql[query], parameters)
            return [(row["job_id"], row["run"], row["stage"]) for row in rows]

    def _one(self, query: str, **parameters: object) -> dict[str, Any]:
        with self._database.connection() as connection:
            row = connection.execute(self._sql[query], parameters).fetchone()
        assert row is not None, query
        return row
