"""What work takes: measured for each attempt, added up for stages and jobs, and expected of those to come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from .contracts import Contract, JobId, JsonObject
from .states import JobStatus

Amount = Annotated[float, Field(ge=0)]
Number = Annotated[int, Field(ge=0)]


class Usage(Contract):
    """What attempts took. Of those whose process died, the time until it was last heard of is known alone."""

    attempts: Annotated[int, Field(ge=0, description="Attempts that were measured, or lost their lease")] = 0
    seconds: Annotated[
        float,
        Field(
            ge=0,
            description="In handlers, by the clock; of attempts that lost their lease, from the claim until "
            "their process was last heard of, once for tasks that were claimed together",
        ),
    ] = 0.0
    gb_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Memory of the process (GiB, resident) over that time, shared evenly between the "
            "handlers that ran in it at the same moment",
        ),
    ] = 0.0
    operations: Annotated[
        int, Field(ge=0, description="Requests to blob storage, GDAL's own not counted")
    ] = 0
    bytes_read: Annotated[int, Field(ge=0, description="From blob storage, with what GDAL read by range")] = 0
    bytes_written: Annotated[
        int, Field(ge=0, description="To blob storage; copies inside the account are none")
    ] = 0
    peak_bytes: Annotated[
        int, Field(ge=0, description="Most memory of a process (bytes, resident) while such a task ran in it")
    ] = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return total((self, other))


def total(usages: Iterable[Usage]) -> Usage:
    """All together; peaks do not add up."""
    found = list(usages)
    return Usage(
        attempts=sum(usage.attempts for usage in found),
        seconds=sum(usage.seconds for usage in found),
        gb_seconds=sum(usage.gb_seconds for usage in found),
        operations=sum(usage.operations for usage in found),
        bytes_read=sum(usage.bytes_read for usage in found),
        bytes_written=sum(usage.bytes_written for usage in found),
        peak_bytes=max((usage.peak_bytes for usage in found), default=0),
    )


class MeanUsage(Contract):
    """What something takes on the average. `peak_bytes` is the most that there was."""

    attempts: Amount = 0.0
    seconds: Amount = 0.0
    gb_seconds: Amount = 0.0
    operations: Amount = 0.0
    bytes_read: Amount = 0.0
    bytes_written: Amount = 0.0
    peak_bytes: Number = 0

    @classmethod
    def of(cls, usage: Usage, number: int) -> MeanUsage:
        """Of one of so many that took this together."""
        amounts = {name: amount / number for name, amount in usage if name != "peak_bytes"}
        return cls(**amounts, peak_bytes=usage.peak_bytes)

    def times(self, number: float) -> MeanUsage:
        """So many of them."""
        amounts = {name: amount * number for name, amount in self if name != "peak_bytes"}
        return MeanUsage(**amounts, peak_bytes=self.peak_bytes)

    def __add__(self, other: MeanUsage) -> MeanUsage:
        """Both together."""
        amounts = {name: amount + getattr(other, name) for name, amount in self if name != "peak_bytes"}
        return MeanUsage(**amounts, peak_bytes=max(self.peak_bytes, other.peak_bytes))


class StageCost(Usage):
    """What a stage took. `stage_key` and `task_type` are null for one that a retry made forgotten."""

    stage: Annotated[int, Field(ge=1)]
    stage_key: str | None
    task_type: str | None
    tasks: Number


class JobCost(Contract):
    """What a run took so far, or in all: its stages add up to the total, in which planning is not."""

    job_id: JobId
    job_type: str
    run: Annotated[int, Field(ge=1)]
    status: JobStatus
    planning_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="By the clock, of planning its stages and making its result, with the planners that "
            "died or were interrupted",
        ),
    ]
    total: Usage
    stages: list[StageCost]


class PastStage(Contract):
    """A stage of a run that completed, for what is to be expected of the next."""

    job_id: JobId
    run: int
    same_job: bool
    """Whether it was asked for with the same parameters."""
    planning_seconds: float
    """Of the whole run; 0 where it was not measured."""
    stage: int
    tasks: int
    usage: Usage


class Expectation(Contract):
    """How much of something a run is likely to take: the mean, and the least and most that there was."""

    mean: Amount
    least: Amount
    most: Amount


class ExpectedStage(Contract):
    """One stage of a run that was not started.

    `known`: its number of tasks is known `exactly`, from the parameters; from `past` runs; or is `unknown`.
    """

    stage: Annotated[int, Field(ge=1)]
    stage_key: str
    task_type: str
    known: Literal["exactly", "past", "unknown"]
    tasks: Expectation | None
    usage_of_a_task: Annotated[MeanUsage | None, Field(description="In past runs; null without any")]


class Estimate(Contract):
    """What a run is likely to take, from the runs of the same job that completed, else from its type's."""

    based_on: Annotated[int, Field(ge=1, description="Runs")]
    of: Literal["this job", "this job type"]
    usage: MeanUsage
    planning_seconds: Annotated[
        Expectation | None,
        Field(
            description="By the clock, of planning a whole run, which `usage` leaves out: as in those runs, "
            "however many tasks they had; null where it was not measured in any"
        ),
    ]
    largest_gb_seconds: Annotated[float, Field(ge=0, description="Of the dearest of those runs")]


class DryRun(Contract):
    """What a submission would do, which was not done."""

    job_id: JobId
    job_type: str
    dry_run: Literal[True] = True
    would_create: Annotated[bool, Field(description="Whether anything would be queued")]
    run: Annotated[int, Field(ge=1, description="That would be started, or that is there")]
    status: Annotated[JobStatus | None, Field(description="Of the job that is there; null where none is")]
    reason: str
    parameters: Annotated[JsonObject, Field(description="With their defaults: what the id is made of")]
    stages: list[ExpectedStage]
    estimate: Annotated[
        Estimate | None, Field(description="Null where no run has completed that was measured")
    ]
    note: Annotated[str | None, Field(description="Why something is not known")]
