"""raster_to_cog: every raster that is named becomes a valid COG with its STAC item, or says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import JsonValue, model_validator

from interfaces.contracts import JobParameters, JsonObject, StageResult, TaskOutcome, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.rasters import CogOptions, CogTarget, RasterSources, Target
from interfaces.registrations import NewCollection
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults

FIRST = 10
MAX_REASONS = 100


class RasterToCogParameters(RasterSources, CogTarget, CogOptions):
    """Which rasters, what is made of them, and where it goes."""

    model_config = examples({"container": "bronze", "prefix": "", "target_container": "silver"})


class RasterToCog:
    """Stages: list, inspect, convert (whole rasters or tiles), assemble tiles, publish, catalog, register."""

    job_type = "raster_to_cog"
    description = "Turns rasters into valid cloud-optimized GeoTIFFs, each with a STAC item and a thumbnail."
    parameters_model: type[RasterToCogParameters] = RasterToCogParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_rasters"),
        StageDefinition("inspect", "inspect_raster", FailurePolicy.CONTINUE),
        StageDefinition("convert", "convert_raster", FailurePolicy.CONTINUE),
        StageDefinition("assemble", "assemble_cog", FailurePolicy.CONTINUE),
        StageDefinition("publish", "publish_cog", FailurePolicy.CONTINUE),
        StageDefinition("catalog", "write_item", FailurePolicy.CONTINUE),
        StageDefinition("register", "load_items", FailurePolicy.CONTINUE),
    )

    def plan(self, stage: int, parameters: RasterToCogParameters, previous: StageResult | None) -> StagePlan:
        """One task that lists; then one a raster, of convert one a tile where it is converted in tiles."""
        fraction = parameters.max_failed_fraction
        if stage == 1:
            return Tasks([{**source(parameters), "target_container": parameters.target_container}])
        if stage == 2:
            return TasksFromItems(
                common={
                    "container": parameters.container,
                    "options": asked(parameters, CogOptions),
                    "target": asked(parameters, CogTarget),
                },
                max_failed_fraction=fraction,
            )
        if stage == 3:
            return TasksFromItems(max_failed_fraction=fraction, expected_seconds=expected_seconds(previous))
        if stage == 4:
            return TasksFromItems(group_by="target", max_failed_fraction=fraction)
        if stage == 5:
            return TasksFromItems(max_failed_fraction=fraction)
        return items_of_cogs(parameters, fraction) if stage == 6 else registrations(parameters)

    def aggregate(
        self,
        parameters: RasterToCogParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts, bytes, the first COGs, and every reason (up to a limit) why a raster is not among them."""
        return Tally().counted(stages, results, inspect=2).result(parameters.target_container)


class ReprojectRasterParameters(RasterToCogParameters):
    """The same, with the grid that is wanted."""

    model_config = examples(
        {"container": "bronze", "blob": "dem.tif", "target_container": "silver", "target_crs": "EPSG:3857"}
    )

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if self.crs_wanted is None and self.resolution is None:
            raise ValueError("give target_crs, resolution or web_optimized")
        return self


class ReprojectRaster(RasterToCog):
    """raster_to_cog with another CRS or pixel size, which must be named."""

    job_type = "reproject_raster"
    description = "Warps rasters onto another grid, as cloud-optimized GeoTIFFs with STAC items."
    parameters_model = ReprojectRasterParameters


def items_of_cogs(target: Target, max_failed_fraction: float | None = None) -> StagePlan:
    """One task a published COG, that writes its item."""
    return TasksFromItems(
        common={"collection_id": target.collection}, max_failed_fraction=max_failed_fraction
    )


def registrations(target: Target) -> StagePlan:
    """One task a batch of items; without a catalog it has nothing to do. No COG is less published for it."""
    new = NewCollection(description=f"Rasters that were published in {target.target_container}")
    created = new.model_dump(mode="json")
    return TasksFromItems(
        group_by="batch", common={"create_collection": created, "exclusive": True, "optional": True}
    )


def source(parameters: RasterSources) -> JsonObject:
    """What the listing is to find."""
    return parameters.model_dump(
        mode="json", include={"container", "blob", "blobs", "prefix", "filter", "limit"}
    )


def asked(parameters: JobParameters, model: type[JobParameters]) -> JsonObject:
    """The fields of `model` among a job's parameters."""
    return parameters.model_dump(mode="json", include=set(model.model_fields))


def expected_seconds(previous: StageResult | None) -> float | None:
    """How long a conversion takes, from what the inspection estimated of the first rasters."""
    found = [
        estimate
        for task in (previous.first_task_results if previous else [])
        if task.result and isinstance(estimate := task.result.get("seconds"), int | float)
    ]
    return max(found) if found else None


class Tally:
    """Adds up what became of each raster."""

    def __init__(self) -> None:
        self.cogs = self.unchanged = self.passed_through = self.bytes = self.pixels_equal = 0
        self.registered = 0
        self.catalog: str | None = None
        self.not_registered: list[JsonValue] = []
        self.first: list[JsonValue] = []
        self.failed: list[JsonValue] = []
        self.failures = 0

    def counted(
        self, stages: Sequence[StageResult], results: TaskResults, *, inspect: int, plan: int | None = None
    ) -> Self:
        """Count the outcomes of every stage from the inspection on.

        `plan` is the stage that decides whether there is anything to do, if that is not the inspection.
        """
        for stage in range(inspect, len(stages) + 1):
            for task in results(stage):
                if task.error is not None:
                    self._fail(stages[stage - 1].stage_key, task)
                elif stage == (plan or inspect):
                    self.unchanged += (task.result or {}).get("status") == "unchanged"
                elif stages[stage - 1].stage_key == "publish":
                    self._publish(task.result or {})
                elif stages[stage - 1].stage_key == "register":
                    self._register(task.result or {})
        return self

    def _publish(self, cog: JsonObject) -> None:
        if cog.get("status") == "unchanged":
            self.unchanged += 1
            return
        self.cogs += 1
        size = cog.get("size")
        self.bytes += size if isinstance(size, int) else 0
        self.passed_through += cog.get("pass_through") is True
        self.pixels_equal += cog.get("pixels_equal") is True
        if len(self.first) < FIRST:
            self.first.append(
                {key: cog.get(key) for key in ("source", "name", "url", "thumbnail_url", "size")}
            )

    def _register(self, batch: JsonObject) -> None:
        self.catalog = str(batch.get("status"))
        loaded, rejects = batch.get("loaded"), batch.get("rejects")
        self.registered += loaded if isinstance(loaded, int) else 0
        if isinstance(rejects, list):
            self.not_registered += rejects[: MAX_REASONS - len(self.not_registered)]

    def _fail(self, stage: str, task: TaskOutcome) -> None:
        self.failures += 1
        if len(self.failed) < MAX_REASONS:
            self.failed.append({"stage": stage, "task_index": task.task_index, "reason": task.error})

    def result(self, container: str) -> JsonObject:
        """The job's result."""
        return {
            "target_container": container,
            "cogs": self.cogs,
            "bytes": self.bytes,
            "passed_through": self.passed_through,
            "pixels_equal": self.pixels_equal,
            "unchanged": self.unchanged,
            "registered": self.registered,
            "catalog": self.catalog,
            "not_registered": self.not_registered,
            "failed": self.failures,
            "failures": self.failed,
            "first_cogs": self.first,
        }
