"""Jobs: submitted, steered and ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from interfaces.contracts import JobId, JsonObject
from interfaces.errors import JobNotFound
from interfaces.jobs import Changed, ClaimedPlan, NewJob, Submitted

from . import submitting
from .audit import caller
from .database import TASK_WAIT, Database
from .json_text import to_json
from .sql_files import queries

BRIEF = 10_000
"""So many tasks are queued again in a moment, and need no turn at a connection that is held for minutes."""


class JobRepository:
    """Guarded transitions of jobs; each call is one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("engine")

    def submit(self, job: NewJob) -> Submitted:
        """Insert the job or start its next run, with its dispatch, who is told of it and what follows."""
        if job.callback is None and job.then is None:
            with self._database.connection() as connection:
                return submitting.submit(connection, job)
        with self._database.transaction() as connection:
            return submitting.submit(connection, job)

    def request(self, job_id: JobId) -> tuple[str, JsonObject]:
        """The job's type and parameters. Raises `JobNotFound`."""
        row = self._row("job_request", job_id=job_id)
        if row is None:
            raise JobNotFound(f"no job has the id {job_id}")
        return row["job_type"], row["parameters"]

    def cancel(self, job_id: JobId) -> Changed:
        """Ask the job to stop. Raises `JobNotFound`."""
        return self._changed(job_id, self._row("cancel_job", job_id=job_id, caller=caller()))

    def retry(self, job_id: JobId, correlation_id: str, traceparent: str | None = None) -> Changed:
        """Queue the failed and cancelled tasks of an ended job again. Raises `JobNotFound`.

        One statement, however many they are: nobody sees a part of it. Of a million it takes minutes.
        """
        asked = {
            "job_id": job_id,
            "correlation_id": correlation_id,
            "traceparent": traceparent,
            "caller": caller(),
        }
        if self._one("count_tasks_of_run", job_id=job_id)["tasks"] <= BRIEF:
            return self._changed(job_id, self._row("retry_job", **asked))
        with self._database.long_connection(wait=TASK_WAIT) as connection:
            return self._changed(job_id, connection.execute(self._sql["retry_job"], asked).fetchone())

    def fail(self, job_id: JobId, error: str, *, run: int | None = None, stage: int | None = None) -> bool:
        """Fail the job, if it is at this run and stage (None: whichever) and not ending already."""
        return bool(self._one("fail_job", job_id=job_id, run=run, stage=stage, error=error)["changed"])

    def current_stage(self, job_id: JobId) -> tuple[int, int] | None:
        """The job's run and stage, or None when there is no such job."""
        row = self._row("current_stage", job_id=job_id)
        return None if row is None else (row["run"], row["stage"])

    def claim_plan(
        self, job_id: JobId, run: int, stage: int, *, worker: str, lease: timedelta, max_attempts: int
    ) -> ClaimedPlan | None:
        """Take up the planning of a stage; None when there is nothing to plan, or somebody is at it."""
        row = self._row(
            "claim_plan",
            job_id=job_id,
            run=run,
            stage=stage,
            worker=worker,
            lease=lease,
            max_attempts=max_attempts,
        )
        return None if row is None else ClaimedPlan(**row)

    def release_plan(self, plan: ClaimedPlan, error: str) -> None:
        """Give the planning back after an error that may pass."""
        self._row("release_plan", job_id=plan.job_id, fence=plan.plan_fence, error=error)

    def extend_plans(self, plans: list[ClaimedPlan], lease: timedelta) -> set[tuple[str, int]]:
        """Renew the leases of these plans; answers (job_id, fence) of those still held."""
        with self._database.connection() as connection:
            rows = connection.execute(
                self._sql["extend_plans"],
                {
                    "job_ids": [plan.job_id for plan in plans],
                    "fences": [plan.plan_fence for plan in plans],
                    "lease": lease,
                },
            )
            return {(row["job_id"], row["fence"]) for row in rows}

    def complete(self, plan: ClaimedPlan, result: JsonObject) -> bool:
        """Complete the job with its result, if the plan's fence still holds."""
        row = self._one(
            "complete_job",
            job_id=plan.job_id,
            run=plan.run,
            stage=plan.stage,
            fence=plan.plan_fence,
            result=to_json(result),
        )
        return bool(row["done"])

    def _changed(self, job_id: JobId, row: dict[str, Any] | None) -> Changed:
        if row is None:
            raise JobNotFound(f"no job has the id {job_id}")
        return Changed(job_id=job_id, **row)

    def _row(self, query: str, **parameters: object) -> dict[str, Any] | None:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchone()

    def _one(self, query: str, **parameters: object) -> dict[str, Any]:
        row = self._row(query, **parameters)
        assert row is not None, query
        return row
