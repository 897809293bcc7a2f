"""checksum_blobs: a SHA-256 of every blob below a prefix. To be copied for a job type of your own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from interfaces.containers import ContainerName, Prefix
from interfaces.contracts import JobParameters, JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults


class ChecksumBlobsParameters(JobParameters):
    """Which blobs. All of it is part of the job's identity."""

    model_config = examples({"container": "bronze", "prefix": "rasters/"})

    container: ContainerName
    prefix: Prefix = ""
    max_failed_fraction: Annotated[
        float, Field(ge=0, le=1, description="When more of the blobs than this fail, the job fails")
    ] = 0.5


class ChecksumBlobs:
    """Stage 1 finds the blobs, stage 2 reads each in a task of its own."""

    job_type = "checksum_blobs"
    description = "Computes the SHA-256 of every blob below a prefix."
    parameters_model = ChecksumBlobsParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("find", "find_blobs"),
        StageDefinition("checksum", "checksum_blob", on_failure=FailurePolicy.CONTINUE),
    )

    def plan(
        self,
        stage: int,
        parameters: ChecksumBlobsParameters,
        previous: StageResult | None,  # noqa: ARG002 - what stage 1 found is read from the database
    ) -> StagePlan:
        """Stage 1: one task. Stage 2: one for each blob that it handed to its context."""
        if stage == 1:
            return Tasks([{"container": parameters.container, "prefix": parameters.prefix}])
        return TasksFromItems(
            common={"container": parameters.container}, max_failed_fraction=parameters.max_failed_fraction
        )

    def aggregate(
        self,
        parameters: ChecksumBlobsParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """How many blobs and bytes were read. The sums themselves are the results of the tasks."""
        read = (task.result for task in results(2) if task.result is not None)
        return {
            "container": parameters.container,
            "blobs": stages[-1].successful_tasks,
            "failed": stages[-1].failed_tasks,
            "bytes": sum(int(str(result["bytes"])) for result in read),
        }
