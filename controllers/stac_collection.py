"""stac_collection: a collection's extent, summaries and queryables, computed from all of its items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from interfaces.catalog_items import CollectionId
from interfaces.collection_summaries import Summaries, fields_of
from interfaces.contracts import JobParameters, JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.workflows import TaskResults

RANGE = 20_000
"""Items that are summed up by one statement, which takes a few seconds."""


class StacCollectionParameters(JobParameters):
    """Which collection, and what of it is computed."""

    model_config = examples({"collection": "silver"})

    collection: CollectionId
    summaries: Annotated[
        Summaries,
        Field(description="Fields of the items' properties, assets or bands; default: those that are usual"),
    ] = "default"
    extent: Annotated[bool, Field(description="Replace the boxes and intervals of the extent")] = True
    queryables: Annotated[
        bool, Field(description="Add queryables for properties of the items that none is about yet")
    ] = True


class StacCollection:
    """Stage 1 divides the items, stage 2 sums up each range, stage 3 adds up and writes."""

    job_type = "stac_collection"
    description = "Computes a STAC collection's extent, summaries and queryables from its items."
    parameters_model = StacCollectionParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("divide", "divide_collections"),
        StageDefinition("summarize", "summarize_items"),
        StageDefinition("write", "update_collection"),
    )

    def plan(
        self,
        stage: int,
        parameters: StacCollectionParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """One task that divides, one for each range, one that writes."""
        if stage == 1:
            return Tasks([{"collections": [parameters.collection], "size": RANGE}])
        fields: JsonObject = {"fields": [*fields_of(parameters.summaries)]}
        if stage == 2:
            return TasksFromItems(common=fields)
        return TasksFromItems(
            group_by="collection",
            common={**fields, "write_extent": parameters.extent, "queryables": parameters.queryables},
        )

    def aggregate(
        self,
        parameters: StacCollectionParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """What the one task of the last stage wrote."""
        (written,) = results(len(stages))
        # A result of that size is kept apart.
        return {"collection": parameters.collection, **(written.result or {"result_url": written.result_url})}
