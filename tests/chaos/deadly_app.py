"""A composition root for tests: the app, and a job whose tasks may kill their process or find a full disk."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue

import registration
from interfaces.blobs import BlobRepository
from interfaces.contracts import JobParameters, JsonObject, StageResult, TaskParameters
from interfaces.layers import FeatureTables
from interfaces.plans import StageDefinition, StagePlan, Tasks
from interfaces.publications import PublicationRepository
from interfaces.settings import Settings
from interfaces.states import FailurePolicy
from interfaces.workflows import RetryPolicy, TaskContext, TaskDefinition, TaskResults
from tests.chaos.deadly_attempts import MAX_ATTEMPTS

SOON = RetryPolicy(MAX_ATTEMPTS, base_delay=timedelta(seconds=0.1), max_delay=timedelta(seconds=1))


class DeadlyParameters(JobParameters):
    """So many tasks, of which some end badly."""

    name: str
    n: Annotated[int, Field(ge=1)] = 1
    out_of_memory: tuple[int, ...] = ()
    disk_full: tuple[int, ...] = ()
    sleep_seconds: float = 0.0


class MineParameters(TaskParameters):
    """One task, and how it ends."""

    index: int
    end: Literal["well", "out of memory", "disk full"]
    sleep_seconds: float


class Minefield:
    """Plans tasks of which some are deadly."""

    job_type = "minefield"
    description = "tasks that may kill their process"
    parameters_model = DeadlyParameters
    stages: Sequence[StageDefinition] = (StageDefinition("walk", "mine", FailurePolicy.CONTINUE),)

    def plan(self, stage: int, parameters: DeadlyParameters, previous: StageResult | None) -> StagePlan:
        expected = parameters.sleep_seconds or 0.0001
        return Tasks(
            _mines(parameters),
            common={"sleep_seconds": parameters.sleep_seconds},
            expected_seconds=expected,
        )

    def aggregate(
        self, parameters: DeadlyParameters, stages: Sequence[StageResult], results: TaskResults
    ) -> JsonObject:
        return {"survived": stages[0].successful_tasks}


def _mines(parameters: DeadlyParameters) -> Iterator[dict[str, JsonValue]]:
    ends = dict.fromkeys(parameters.out_of_memory, "out of memory")
    ends |= dict.fromkeys(parameters.disk_full, "disk full")
    for index in range(parameters.n):
        yield {"index": index, "end": ends.get(index, "well")}


def walk(parameters: MineParameters, context: TaskContext) -> JsonObject:
    """End as the parameters say, after a while."""
    time.sleep(parameters.sleep_seconds)
    if parameters.end == "out of memory":
        # As the kernel's OOM killer does it: no handler runs, nothing is flushed.
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    if parameters.end == "disk full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/scratch.tif")
    return {"index": parameters.index}


_job_catalog, _task_catalog = registration.job_catalog, registration.task_catalog


def _jobs() -> registration.JobCatalog:
    catalog = _job_catalog()
    catalog.register(Minefield())
    return catalog


def _tasks(
    settings: Settings, blobs: BlobRepository, publications: PublicationRepository, tables: FeatureTables
) -> registration.TaskCatalog:
    catalog = _task_catalog(settings, blobs, publications, tables)
    catalog.register(TaskDefinition("mine", MineParameters, walk, SOON, max_batch=250))
    return catalog


registration.job_catalog, registration.task_catalog = _jobs, _tasks

from function_app import app  # noqa: E402 - composes itself when imported, of the catalogs above

__all__ = ["app"]
