"""What runs took, and what there is to expect of the next. Reads only."""

from __future__ import annotations

from typing import Any

from interfaces.contracts import JobId
from interfaces.costs import JobCost, PastStage, StageCost, Usage, total
from interfaces.errors import FieldError, InvalidRequest, JobNotFound
from interfaces.states import JobStatus

from .database import Database
from .sql_files import queries

AMOUNTS = tuple(Usage.model_fields)
PAST = tuple(name for name in PastStage.model_fields if name != "usage")
PAST_RUNS = 20
"""As many tell what is to be expected."""


class CostRepository:
    """Every method raises `ServiceUnavailable` when the database cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("costs")

    def cost(self, job_id: JobId, run: int | None = None) -> JobCost:
        """What a run took, the current one by default.

        Raises `JobNotFound`, and `InvalidRequest` for a run that the job has not, or has no more.
        """
        rows = self._rows("run", job_id=job_id, run=run)
        if not rows:
            raise JobNotFound(f"no job has the id {job_id}")
        (job,) = rows
        if job["status"] is None:
            reason = f"this job's last run is {job['current_run']}"
            if job["run"] < job["current_run"]:
                reason = "this run was removed"
            raise InvalidRequest(f"run: {reason}", errors=[FieldError(field="run", reason=reason)])
        stages = [StageCost(**row) for row in self._rows("stages", job_id=job_id, run=job["run"])]
        return JobCost(
            job_id=job_id,
            job_type=job["job_type"],
            run=job["run"],
            status=job["status"],
            planning_seconds=job["planning_seconds"],
            total=total(Usage(**stage.model_dump(include=set(AMOUNTS))) for stage in stages),
            stages=stages,
        )

    def standing(self, job_id: JobId) -> tuple[JobStatus | None, int]:
        """The job's state, None where there is no such job; and its newest run that there was, or 0."""
        (row,) = self._rows("standing", job_id=job_id)
        return None if row["status"] is None else JobStatus(row["status"]), row["run"]

    def past_stages(self, job_id: JobId, job_type: str) -> list[PastStage]:
        """The stages of the newest runs that completed, of this job and of others of its type."""
        rows = self._rows("past_stages", job_id=job_id, job_type=job_type, runs=PAST_RUNS)
        return [
            PastStage(
                **{name: row[name] for name in PAST},
                usage=Usage(**{name: row[name] or 0 for name in AMOUNTS}),
            )
            for row in rows
        ]

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchall()
