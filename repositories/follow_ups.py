"""Schedules and chains: each step is one transaction together with the submission that it makes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from interfaces.follow_ups import DueFollower, DueSchedule, NewSchedule, Schedule, Tick
from interfaces.jobs import NewJob, Submitted
from interfaces.states import JobStatus

from . import submitting
from .audit import caller
from .connection import Connection
from .database import Database
from .json_text import to_json
from .keyset import Position, page, position
from .sql_files import queries

SHOWN_TICKS = 100


class ScheduleRepository:
    """Schedules and their ticks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("follow_ups")

    def now(self) -> datetime:
        """The database's time, by which schedules go."""
        now: datetime = self._rows("now")[0]["now"]
        return now

    def create(self, new: NewSchedule, next_at: datetime) -> Schedule | None:
        """Add a schedule; None: there is one of this name."""
        given = new.model_dump() | {"parameters": to_json(new.parameters), "next_at": next_at}
        follower = given.pop("then") and new.then
        given["follower"] = follower and to_json(follower.model_dump(mode="json", exclude_none=True))
        rows = self._rows("create_schedule", caller=caller(), **given)
        return Schedule(**rows[0]) if rows else None

    def page(self, *, after: Position | None, limit: int) -> tuple[list[Schedule], Position | None]:
        """Schedules, by name."""
        (name,) = position(after, "text") or (None,)
        rows, following = page(
            self._rows("schedules", name=None, after=name, limit=limit + 1), limit, lambda row: [row["name"]]
        )
        return [Schedule.model_validate(row) for row in rows], following

    def one(self, name: str) -> Schedule | None:
        """The schedule of this name."""
        rows = self._rows("schedules", name=name, after=None, limit=1)
        return Schedule(**rows[0]) if rows else None

    def ticks(self, name: str) -> list[Tick]:
        """Its last ticks, the newest first."""
        return [Tick(**row) for row in self._rows("schedule_ticks", name=name, limit=SHOWN_TICKS)]

    def switch(self, name: str, *, enabled: bool, next_at: datetime) -> Schedule | None:
        """Enable it from its next tick on, or disable it; None: there is none of this name."""
        rows = self._rows("switch_schedule", name=name, enabled=enabled, next_at=next_at, caller=caller())
        return Schedule(**rows[0]) if rows else None

    def delete(self, name: str) -> bool:
        """Forget it; False: there is none of this name."""
        return bool(self._rows("delete_schedule", name=name, caller=caller())[0]["found"])

    def due(self, limit: int) -> list[DueSchedule]:
        """Schedules whose next tick has come."""
        return [DueSchedule(**row) for row in self._rows("due_schedules", limit=limit)]

    def rest(self, due: DueSchedule, error: str, rest: timedelta) -> None:
        """Note why it cannot tick; until then it is not due."""
        place = {"name": due.name, "created_at": due.created_at, "next_at": due.next_at}
        with self._database.connection() as connection:
            connection.execute(self._sql["rest_schedule"], place | {"error": error, "rest": rest})

    def fire(
        self, due: DueSchedule, tick: datetime, following: datetime, job: NewJob | None, error: str | None
    ) -> Submitted | None:
        """Take the tick, submit its job, record both; None: somebody took it, or there is no job."""
        missed = due.next_at if due.next_at < tick else None
        named = {"name": due.name, "tick_at": tick, "missed_since": missed, "error": error}
        with self._database.transaction() as connection:
            place = {"created_at": due.created_at, "next_at": due.next_at, "following": following}
            if not _answer(connection, "take_tick", named | place):
                return None
            submitted = submitting.submit(connection, job) if job is not None else None
            said = submitted.model_dump() if submitted is not None else {}
            run = {key: said.get(key) for key in ("job_id", "run", "created")}
            connection.execute(self._sql["record_tick"], named | run)
        return submitted

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchall()


class FollowerRepository:
    """What follows runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("follow_ups")

    def due(self, limit: int) -> list[DueFollower]:
        """Followers whose run has ended, with that end."""
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["due_followers"], {"limit": limit}).fetchall()
        ends = (JobStatus(row["status"]) if row["status"] else None for row in rows)
        return [DueFollower(**row | {"status": status}) for row, status in zip(rows, ends, strict=True)]

    def submit(self, due: DueFollower, job: NewJob) -> Submitted | None:
        """Submit what follows and note so; None: somebody else did, or that end is no more."""
        with self._database.transaction() as connection:
            named = _settlement(due, "submitted", None, job.job_id)
            if not _answer(connection, "settle_follower", named):
                return None
            submitted = submitting.submit(connection, job)
            run = {"follower_id": due.follower_id, "run": submitted.run}
            connection.execute(self._sql["note_next_run"], run)
        return submitted

    def settle(self, due: DueFollower, state: str, error: str | None) -> bool:
        """Note that nothing follows that end, and why; False: somebody else settled it."""
        with self._database.connection() as connection:
            return _answer(connection, "settle_follower", _settlement(due, state, error, None))


def _settlement(due: DueFollower, state: str, error: str | None, next_job_id: str | None) -> dict[str, Any]:
    return {
        "follower_id": due.follower_id,
        "due_at": due.due_at,
        "state": state,
        "error": error,
        "next_job_id": next_job_id,
    }


def _answer(connection: Connection, query: str, named: dict[str, Any]) -> bool:
    row = connection.execute(queries("follow_ups")[query], named).fetchone()
    assert row is not None
    return bool(row["done"])
