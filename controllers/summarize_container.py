"""summarize_container: what a container holds, counted by many tasks in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from interfaces.containers import ContainerSummary, Prefix, SourceContainer
from interfaces.contracts import JobParameters, JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.workflows import TaskResults


class SummarizeContainerParameters(JobParameters):
    """Which container, or which part of it."""

    model_config = examples({"container": "bronze"})

    container: SourceContainer
    prefix: Prefix = ""
    limit: (
        Annotated[
            int, Field(ge=1, le=10**12, description="Count only the first so many blobs, in order of name")
        ]
        | None
    ) = None


class SummarizeContainer:
    """Stage 1 divides the container by prefixes, stage 2 counts each part; the parts are added up."""

    job_type = "summarize_container"
    description = "Counts a container's files and bytes by extension, size, month and storage tier."
    parameters_model = SummarizeContainerParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("partition", "partition_container"),
        StageDefinition("summarize", "summarize_prefix"),
    )

    def plan(
        self,
        stage: int,
        parameters: SummarizeContainerParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """Stage 1: one task that divides. Stage 2: one task for each part it found."""
        if stage == 1:
            return Tasks([parameters.model_dump(mode="json")])
        return TasksFromItems(common={"container": parameters.container, "limit": parameters.limit})

    def aggregate(
        self,
        parameters: SummarizeContainerParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """The sum of all parts. Blobs that lie above the parts were counted while dividing, in stage 1."""
        total = ContainerSummary()
        for stage in stages:
            for task in results(stage.stage_number):
                if task.result is not None:
                    total.merge(ContainerSummary.model_validate(task.result["summary"]))
        return {
            "container": parameters.container,
            "prefix": parameters.prefix,
            "limit": parameters.limit,
            "parts": stages[-1].task_count,
            **total.model_dump(mode="json"),
        }
