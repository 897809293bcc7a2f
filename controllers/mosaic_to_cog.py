"""mosaic_to_cog: all rasters that are named become one valid COG with its STAC item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.plans import FailJob, StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.rasters import CogOptions, MosaicOptions, MosaicTarget, Placement, RasterSources
from interfaces.sources import MAX_NAMED_BLOBS
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults

from .raster_to_cog import Tally, asked, expected_seconds, items_of_cogs, registrations, source


class MosaicToCogParameters(RasterSources, MosaicTarget, CogOptions, MosaicOptions):
    """Which rasters, how they lie on each other, what is made of them, and where it goes."""

    model_config = examples(
        {
            "container": "bronze",
            "prefix": "tiles/",
            "target_container": "silver",
            "target_name": "mosaics/2024.tif",
        }
    )

    max_failed_fraction: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The job fails when more of its rasters than this cannot be read; what is left out "
            "of a mosaic makes another one",
        ),
    ] = 0.0

    @field_validator("placement")
    @classmethod
    def _pixels_may_move(cls, placement: Placement) -> Placement:
        if placement == "keep":
            raise ValueError("placement keep: a mosaic has one grid, onto which such rasters are rectified")
        return placement


class MosaicToCog:
    """Stages: list, inspect, compose (one plan for all), convert, assemble, publish, catalog, register."""

    job_type = "mosaic_to_cog"
    description = "Makes one valid cloud-optimized GeoTIFF of many rasters, with a STAC item and a thumbnail."
    parameters_model = MosaicToCogParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_rasters"),
        StageDefinition("inspect", "inspect_mosaic_part", FailurePolicy.CONTINUE),
        StageDefinition("compose", "compose_mosaic"),
        StageDefinition("convert", "convert_raster"),
        StageDefinition("assemble", "assemble_cog"),
        StageDefinition("publish", "publish_cog"),
        StageDefinition("catalog", "write_item"),
        StageDefinition("register", "load_items", FailurePolicy.CONTINUE),
    )

    def plan(self, stage: int, parameters: MosaicToCogParameters, previous: StageResult | None) -> StagePlan:
        """One task that lists, one a raster, one that plans; then one, of convert one a tile if there are."""
        if stage == 1:
            return Tasks([{**source(parameters), "target_container": parameters.target_container}])
        if stage == 2:
            return _inspections(parameters, previous)
        if stage == 3:
            return TasksFromItems(
                group_by="mosaic",
                common={
                    "options": asked(parameters, CogOptions),
                    "order": asked(parameters, MosaicOptions),
                    "target": asked(parameters, MosaicTarget),
                },
            )
        if stage == 4:
            return TasksFromItems(expected_seconds=expected_seconds(previous))
        if stage in (5, 6):
            return TasksFromItems(group_by="target" if stage == 5 else None)
        return items_of_cogs(parameters) if stage == 7 else registrations(parameters)

    def aggregate(
        self,
        parameters: MosaicToCogParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """What became of the mosaic, of how many rasters it is made, and why others are not in it."""
        tally = Tally().counted(stages, results, inspect=2, plan=3)
        return {**tally.result(parameters.target_container), "rasters": stages[1].successful_tasks}


def _inspections(parameters: MosaicToCogParameters, listed: StageResult | None) -> StagePlan:
    first = listed.first_task_results[0].result if listed and listed.first_task_results else None
    matched = (first or {}).get("matched")
    if matched == 0:
        return FailJob("there is no raster to make a mosaic of")
    if isinstance(matched, int) and matched > MAX_NAMED_BLOBS:
        return FailJob(f"{matched} rasters are too many for one mosaic: {MAX_NAMED_BLOBS} are allowed")
    return TasksFromItems(
        common={"container": parameters.container, "options": asked(parameters, CogOptions)},
        max_failed_fraction=parameters.max_failed_fraction,
    )
