"""export_vector: a filtered layer becomes a GeoParquet, FlatGeobuf or GeoPackage file in a container."""

from __future__ import annotations

from collections.abc import Sequence

from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.layer_exports import ExportTarget, LayerSelection
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.workflows import TaskResults


class ExportVectorParameters(LayerSelection, ExportTarget):
    """Which features of which table, as what, and where they go."""

    model_config = examples(
        {"source_table": "stations", "target_container": "silver", "format": "geoparquet", "order": "spatial"}
    )


class ExportVector:
    """Stages: find the layer, then write it, in one task: it is read as of one moment."""

    job_type = "export_vector"
    description = "Writes a layer, or some of its features, as GeoParquet, FlatGeobuf or GeoPackage."
    parameters_model: type[ExportVectorParameters] = ExportVectorParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("find", "find_layer"),
        StageDefinition("export", "export_layer"),
    )

    def plan(
        self,
        stage: int,
        parameters: ExportVectorParameters,
        previous: StageResult | None,  # noqa: ARG002 - of the contract
    ) -> StagePlan:
        """One task each."""
        target = parameters.model_dump(mode="json", include=set(ExportTarget.model_fields))
        if stage == 1:
            selection = parameters.model_dump(mode="json", include=set(LayerSelection.model_fields))
            return Tasks([{"selection": selection, "target": target}])
        return TasksFromItems(common={"target": target})

    def aggregate(
        self,
        parameters: ExportVectorParameters,  # noqa: ARG002 - of the contract
        stages: Sequence[StageResult],  # noqa: ARG002
        results: TaskResults,
    ) -> JsonObject:
        """What the one task that wrote answered."""
        (written,) = (task.result or {} for task in results(2))
        return written
