"""stac_export: collections as stac-geoparquet or as a static catalog, in a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from interfaces.catalog_exports import ExportTarget
from interfaces.catalog_items import CollectionId, ItemFilter
from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.workflows import TaskResults

RANGE = {"geoparquet": 5000, "static": 1000}
"""Items of one table, which are converted in memory; and those that one task writes as files."""
MAX_COLLECTIONS = 100


def _distinct(collections: list[str]) -> list[str]:
    return sorted(set(collections))


class StacExportParameters(ItemFilter, ExportTarget):
    """Which items of which collections, as what, and where they go."""

    model_config = examples({"collections": ["silver"], "target_container": "gold", "format": "geoparquet"})

    collections: Annotated[
        list[CollectionId], Field(min_length=1, max_length=MAX_COLLECTIONS), AfterValidator(_distinct)
    ]


class StacExport:
    """Stages: divide the items, write each range, publish each collection, then the catalog of them."""

    job_type = "stac_export"
    description = "Writes STAC collections with their items as stac-geoparquet or as a static catalog."
    parameters_model = StacExportParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("divide", "divide_collections"),
        StageDefinition("items", "export_items"),
        StageDefinition("collections", "export_collection"),
        StageDefinition("catalog", "export_catalog"),
    )

    def plan(
        self,
        stage: int,
        parameters: StacExportParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """One task that divides, one for each range, one for each collection, one for the catalog."""
        wanted = parameters.model_dump(mode="json", include=set(ItemFilter.model_fields))
        target = parameters.model_dump(mode="json", include=set(ExportTarget.model_fields))
        if stage == 1:
            size = RANGE[parameters.format]
            return Tasks([{"collections": [*parameters.collections], "size": size, "wanted": wanted}])
        if stage == 2:
            return TasksFromItems(common={"wanted": wanted, "target": target})
        return TasksFromItems(group_by="collection" if stage == 3 else "catalog", common={"target": target})

    def aggregate(
        self,
        parameters: StacExportParameters,
        stages: Sequence[StageResult],  # noqa: ARG002
        results: TaskResults,
    ) -> JsonObject:
        """What was written of each collection, and where the catalog is."""
        collections = [task.result or {} for task in results(3)]
        (catalog,) = (task.result or {} for task in results(4))
        total: JsonValue = sum(items for one in collections if isinstance(items := one.get("items"), int))
        return {
            "format": parameters.format,
            "target_container": parameters.target_container,
            "items": total,
            "collections": [*collections],
            "catalog_url": catalog.get("url"),
        }
