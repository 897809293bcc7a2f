"""validate_raster: says of each raster whether it can be read to its last pixel, and whether it is a COG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, JsonValue

from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.rasters import RasterSources
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults

from .raster_to_cog import source

MAX_INVALID = 100


class ValidateRasterParameters(RasterSources):
    """Which rasters, and how closely they are looked at."""

    model_config = examples({"container": "bronze", "prefix": "", "require_cog": True})

    read_pixels: Annotated[
        bool, Field(description="Read every block, so that damaged ones are found; else the header alone")
    ] = True
    require_cog: Annotated[
        bool, Field(description="Take a raster that is no strictly valid COG for invalid")
    ] = False


class ValidateRaster:
    """Stage 1 lists, stage 2 validates each raster. A raster that is invalid is a result, not a failure."""

    job_type = "validate_raster"
    description = (
        "Checks rasters: structure, COG layout and, block by block, whether their pixels can be read."
    )
    parameters_model = ValidateRasterParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_rasters"),
        StageDefinition("validate", "validate_raster", FailurePolicy.CONTINUE),
    )

    def plan(
        self,
        stage: int,
        parameters: ValidateRasterParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """Stage 1: one task that lists. Stage 2: one task for each raster it found."""
        if stage == 1:
            return Tasks([source(parameters)])
        return TasksFromItems(
            common=parameters.model_dump(mode="json", include={"container", "read_pixels", "require_cog"}),
            max_failed_fraction=parameters.max_failed_fraction,
        )

    def aggregate(
        self,
        parameters: ValidateRasterParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts by verdict, and the first invalid rasters with their reasons."""
        verdicts: dict[str, int] = {}
        cogs = 0
        invalid: list[JsonValue] = []
        for task in results(2):
            found = task.result or {}
            verdict = str(found.get("verdict", "not_checked"))
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
            cogs += found.get("cog") is True
            if verdict != "valid" and len(invalid) < MAX_INVALID:
                reason = found.get("reasons") or task.error
                invalid.append({"name": found.get("name"), "verdict": verdict, "reasons": reason})
        return {
            "container": parameters.container,
            "rasters": stages[-1].task_count,
            "verdicts": {**verdicts},
            "cogs": cogs,
            "not_valid": invalid,
        }
