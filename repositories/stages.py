"""Stages: their tasks inserted, their end noticed, their results read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from time import monotonic

import psycopg
from pydantic import JsonValue

from interfaces.contracts import JobId, StageResult, TaskOutcome
from interfaces.errors import ContractViolation
from interfaces.jobs import ClaimedPlan
from interfaces.plans import FanOut, Tasks, TasksFromItems
from interfaces.states import FailurePolicy

from .connection import Connection
from .database import Database
from .json_text import to_json
from .sql_files import queries

SWEEP_PAGE = 10_000
"""Tasks that are cancelled in one transaction, of less than a second."""
SWEEP_SECONDS = 5.0
"""How long a message, or the reconciler, sweeps before it lets others go on."""

BatchSize = Callable[[int], int]
"""How many tasks one message carries, of a stage of so many."""


BRIEF = 100
"""So few tasks are inserted in a moment: they do not wait for the fan-outs of large stages to end."""


class TooManyTasks(Exception):
    """A plan has more tasks than a stage may have."""


@dataclass(frozen=True)
class NewStage:
    """A stage about to be made: what its row says, besides its tasks."""

    stage_key: str
    task_type: str
    on_failure: FailurePolicy
    max_failed_fraction: float | None
    max_attempts: int
    canary: int


@dataclass(frozen=True)
class EndedStage:
    """How a stage went. `traceparent`: of the request that started its run."""

    job_type: str
    traceparent: str
    stage_key: str
    task_type: str
    status: str
    task_count: int
    error: str | None
    created_at: datetime
    completed_at: datetime


class StageRepository:
    """All a stage's rows are written in one transaction, and read page by page."""

    def __init__(self, database: Database, page_size: int = 1000) -> None:
        self._database = database
        self._sql = queries("engine")
        self._page_size = page_size

    def fan_out(
        self,
        plan: ClaimedPlan,
        fan_out: FanOut,
        stage: NewStage,
        *,
        worker: str,
        limit: int,
        batch_size: BatchSize,
        patience: timedelta,
    ) -> int | None:
        """Insert the stage, its tasks and their dispatches, if the plan's fence still holds.

        Ends what a predecessor that is frozen left open. `patience` is how long a lock is waited for, and how
        long this transaction may stand idle. Returns the number of tasks, or None when the plan was overtaken
        and nothing was written.
        Raises `TooManyTasks` beyond `limit`, and `ContractViolation` for a task that is no mapping of JSON,
        and for an item that cannot be grouped.
        """
        fan_out, at_most = self._looked_into(plan, fan_out)
        brief = at_most <= BRIEF
        within: AbstractContextManager[Connection] = (
            self._database.transaction() if brief else self._database.long_transaction(at_most / limit)
        )
        try:
            with within as connection:
                self._begin(connection, plan, patience)
                count = self._insert_tasks(connection, plan, fan_out, limit)
                if count > limit:
                    raise TooManyTasks(f"stage {plan.stage} has more than {limit} tasks")
                if not brief:
                    # Of a stream it is known only now how many there are.
                    connection.patience = self._database.patience(count / limit)
                row = connection.execute(
                    self._sql["seal_stage"],
                    {
                        "job_id": plan.job_id,
                        "run": plan.run,
                        "stage": plan.stage,
                        "fence": plan.plan_fence,
                        "worker": worker,
                        "stage_key": stage.stage_key,
                        "task_type": stage.task_type,
                        "task_count": count,
                        "batch_size": batch_size(count),
                        "parameters": to_json(dict(fan_out.common)),
                        "on_failure": stage.on_failure,
                        "max_failed_fraction": stage.max_failed_fraction,
                        "max_attempts": stage.max_attempts,
                        "canary": stage.canary,
                    },
                ).fetchone()
                if row is None or not row["sealed"]:
                    raise _Overtaken
                return count
        except (_Overtaken, psycopg.errors.UniqueViolation):
            # Another planner's rows are there, or the job was cancelled: its word counts.
            return None

    def finish(self, job_id: JobId, run: int, stage: int, worker: str) -> bool:
        """Advance the job if the stage has no unfinished task; true when something moved."""
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql["finish_stage"], {"job_id": job_id, "run": run, "stage": stage, "worker": worker}
            ).fetchone()
            return row is not None and bool(row["moved"])

    def span(self, job_id: JobId, run: int, stage: int) -> EndedStage | None:
        """What a trace says of a stage that has ended; None where it has not, or its run is not traced."""
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql["stage_span"], {"job_id": job_id, "run": run, "stage": stage}
            ).fetchone()
        return None if row is None else EndedStage(**row)

    def judge_canary(self, job_id: JobId, run: int, stage: int, worker: str) -> bool:
        """Once the canary has ended: let the rest of the stage go, or fail it; true when it was decided."""
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql["judge_canary"], {"job_id": job_id, "run": run, "stage": stage, "worker": worker}
            ).fetchone()
            return row is not None and bool(row["judged"])

    def sweep(
        self, job_id: JobId, run: int, stage: int, *, within: float = SWEEP_SECONDS, page: int = SWEEP_PAGE
    ) -> int:
        """Cancel the queued tasks of a stage that takes no more claims; answers how many.

        A page at a time, and no more once `within` seconds have passed: a dispatch speaks for what is left,
        and its message goes on.
        """
        total = 0
        end = monotonic() + within
        # By itself: who begins to fail a stage holds its row until the commit, and workers whose tasks fail
        # hold its counters and wait for the row. A sweep needs a counter, too.
        with self._database.connection() as connection:
            connection.execute(self._sql["check_policy"], {"job_id": job_id, "run": run, "stage": stage})
        while True:
            with self._database.connection() as connection:
                row = connection.execute(
                    self._sql["sweep_stage"], {"job_id": job_id, "run": run, "stage": stage, "limit": page}
                ).fetchone()
            swept = 0 if row is None else int(row["swept"])
            total += swept
            if swept < page or monotonic() >= end:
                return total

    def results(self, job_id: JobId, run: int) -> list[StageResult]:
        """How the ended stages of a run ended, in order."""
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["stage_results"], {"job_id": job_id, "run": run}).fetchall()
        return [StageResult.model_validate(row["result"]) for row in rows]

    def outcomes(self, job_id: JobId, run: int, stage: int) -> Iterator[TaskOutcome]:
        """The outcomes of a stage's tasks by task index, a page in memory at a time."""
        after = -1
        while True:
            with self._database.connection() as connection:
                rows = connection.execute(
                    self._sql["outcomes_page"],
                    {"job_id": job_id, "run": run, "stage": stage, "after": after, "limit": self._page_size},
                ).fetchall()
            for row in rows:
                yield TaskOutcome.model_validate(row)
            if len(rows) < self._page_size:
                return
            after = rows[-1]["task_index"]

    def _looked_into(self, plan: ClaimedPlan, fan_out: FanOut) -> tuple[FanOut, int]:
        """The same fan-out, and how many tasks it makes at most; of a stream only whether they are few.

        A COPY needs no more patience for more tasks: what the server takes is a word from it.
        """
        if isinstance(fan_out, Tasks):
            parameters = iter(fan_out.parameters)
            first = list(islice(parameters, BRIEF + 1))
            return replace(fan_out, parameters=chain(first, parameters)), len(first)
        query = "count_items" if isinstance(fan_out, TasksFromItems) else "count_results"
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql[query], {"job_id": plan.job_id, "run": plan.run, "stage": plan.stage - 1}
            ).fetchone()
        return fan_out, 0 if row is None else int(row["n"])

    def _begin(self, connection: Connection, plan: ClaimedPlan, patience: timedelta) -> None:
        row = connection.execute(
            self._sql["begin_fan_out"],
            {
                "job_id": plan.job_id,
                "run": plan.run,
                "stage": plan.stage,
                "fence": plan.plan_fence,
                "patience": patience,
            },
        ).fetchone()
        if row is None or not row["begun"]:
            raise _Overtaken

    def _insert_tasks(self, connection: Connection, plan: ClaimedPlan, fan_out: FanOut, limit: int) -> int:
        if isinstance(fan_out, Tasks):
            return self._copy_tasks(connection, plan, fan_out.parameters, limit)
        arguments: dict[str, object] = {
            "job_id": plan.job_id,
            "run": plan.run,
            "stage": plan.stage,
            "limit": limit,
        }
        if isinstance(fan_out, TasksFromItems) and fan_out.group_by is not None:
            return self._insert_groups(connection, arguments, fan_out.group_by)
        if isinstance(fan_out, TasksFromItems):
            row = connection.execute(self._sql["insert_tasks_from_items"], arguments).fetchone()
        else:
            arguments["select"] = to_json(dict(fan_out.select))
            row = connection.execute(self._sql["insert_tasks_from_results"], arguments).fetchone()
        assert row is not None
        return int(row["n"])

    def _insert_groups(self, connection: Connection, arguments: dict[str, object], key: str) -> int:
        arguments["group_by"] = key
        row = connection.execute(self._sql["insert_tasks_from_item_groups"], arguments).fetchone()
        assert row is not None
        if row["keyless_task"] is not None:
            raise ContractViolation(
                f"group_by: item {row['keyless_seq']} that task {row['keyless_task']} of the previous stage "
                f"discovered has no {key!r}"
            )
        return int(row["n"])

    def _copy_tasks(
        self,
        connection: Connection,
        plan: ClaimedPlan,
        parameters: Iterable[Mapping[str, JsonValue]],
        limit: int,
    ) -> int:
        count = 0
        with connection.cursor() as cursor, cursor.copy(self._sql["copy_tasks"]) as copy:
            for index, task in enumerate(parameters):
                if index >= limit:
                    raise TooManyTasks(f"stage {plan.stage} has more than {limit} tasks")
                copy.write_row((plan.job_id, plan.run, plan.stage, index, _task_json(index, task)))
                count = index + 1
        return count


def _task_json(index: int, parameters: object) -> str:
    if not isinstance(parameters, Mapping):
        kind = type(parameters).__name__
        raise ContractViolation(f"parameters.{index}: a task's parameters are a mapping, not {kind}")
    try:
        return to_json(dict(parameters))
    except ValueError as error:
        raise ContractViolation(f"parameters.{index}.{error}") from error


class _Overtaken(Exception):
    """Rolls the transaction back: the plan is no longer this planner's."""
