"""list_container: the files of a container that pass a filter, each described by a task of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from interfaces.containers import (
    BlobFilter,
    Count,
    FilterOrGlob,
    Prefix,
    SourceContainer,
    count_file,
    extension_of,
)
from interfaces.contracts import JobParameters, JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults

FIRST_FILES = 10


class ListContainerParameters(JobParameters):
    """Which files, and how much to find out about each."""

    model_config = examples(
        {"container": "bronze", "prefix": "2024/", "filter": "*.tif", "metadata_level": "full"}
    )

    container: SourceContainer
    prefix: Prefix = ""
    filter: Annotated[FilterOrGlob, Field(description="Which files; a bare text is a glob")] = BlobFilter()
    limit: (
        Annotated[
            int, Field(ge=1, le=1_000_000, description="At most so many, of those that pass the filter")
        ]
        | None
    ) = None
    metadata_level: Annotated[
        Literal["basic", "standard", "full"],
        Field(
            description="basic: the listing; standard: and properties; full: and what a raster's header says"
        ),
    ] = "basic"
    statistics: Annotated[
        bool,
        Field(
            description="With full: statistics of each band, from about a quarter of a file over 4 MB at most"
        ),
    ] = False


class ListContainer:
    """Stage 1 lists and filters, stage 2 describes each file."""

    job_type = "list_container"
    description = "Lists a container's files, with their properties and what the headers of rasters say."
    parameters_model = ListContainerParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_blobs"),
        # A file that storage will not give after all retries must not hide 50,000 others; a majority
        # of such files is no listing.
        StageDefinition("describe", "describe_blob", FailurePolicy.CONTINUE, max_failed_fraction=0.5),
    )

    def plan(
        self,
        stage: int,
        parameters: ListContainerParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """Stage 1: one task that lists. Stage 2: one task for each file it found."""
        if stage == 1:
            return Tasks(
                [parameters.model_dump(mode="json", include={"container", "prefix", "filter", "limit"})]
            )
        return TasksFromItems(
            common=parameters.model_dump(mode="json", include={"container", "metadata_level", "statistics"})
        )

    def aggregate(
        self,
        parameters: ListContainerParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts, and the first files; all of them are read page by page from the job's results."""
        tally = _Tally()
        for task in results(2):
            if task.result is not None:
                tally.add(task.result)
        return {
            "container": parameters.container,
            "prefix": parameters.prefix,
            "metadata_level": parameters.metadata_level,
            "not_described": stages[-1].failed_tasks,
            **tally.result(full=parameters.metadata_level == "full"),
        }


class _Tally:
    """Adds up descriptions of files, one at a time."""

    def __init__(self) -> None:
        self.total = Count()
        self.missing = 0
        self.rasters: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.bytes_read = 0
        self.by_extension: dict[str, Count] = {}
        self.by_driver: dict[str, Count] = {}
        self.first: list[JsonValue] = []

    def add(self, file: JsonObject) -> None:
        name, size = str(file["name"]), _number(file["size"])
        self.total.add(1, size)
        self.missing += file.get("exists") is False
        count_file(self.by_extension, extension_of(name), size)
        if len(self.first) < FIRST_FILES:
            self.first.append({key: file.get(key) for key in ("name", "size", "last_modified")})
        raster = file.get("raster")
        if not isinstance(raster, dict):
            return
        state = str(raster.get("status"))
        self.rasters[state] = self.rasters.get(state, 0) + 1
        self.bytes_read += _number(raster.get("bytes_read"))
        if raster.get("readable"):
            count_file(self.by_driver, str(raster.get("driver")), size)

    def result(self, *, full: bool) -> JsonObject:
        answer: JsonObject = {
            "files": self.total.files,
            "bytes": self.total.bytes,
            "deleted_since_listed": self.missing,
            "by_extension": _dump(self.by_extension),
            "first_files": self.first,
        }
        if full:
            readable = self.rasters.pop("readable", 0)
            not_rasters = self.rasters.pop("not_raster", 0)
            answer |= {
                "rasters_readable": readable,
                "rasters_unreadable": sum(self.rasters.values()),
                "unreadable_by_status": {**self.rasters},
                "not_rasters": not_rasters,
                "by_driver": _dump(self.by_driver),
                "bytes_read": self.bytes_read,
            }
        return answer


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _dump(counts: dict[str, Count]) -> JsonValue:
    return {key: count.model_dump() for key, count in counts.items()}
