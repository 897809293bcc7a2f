"""stac_register: rasters, or documents of STAC items, become items of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.rasters import RasterSources
from interfaces.registrations import CollectionId, Kind, NewCollection, RasterItems
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults

from .raster_to_cog import MAX_REASONS, asked, source

MAX_REJECTS = 100
MAX_UNVALIDATED = 100
SECONDS_A_FILE, BYTES_A_SECOND = 0.03, 5_000_000
"""What reading and validating documents takes, about."""


class StacRegisterParameters(RasterSources, RasterItems):
    """Which files, what they are, and where their items go."""

    model_config = examples(
        {"container": "silver", "prefix": "", "collection_id": "silver", "create_collection": {}}
    )

    kind: Annotated[
        Kind,
        Field(
            description="rasters: an item is built for each; documents: JSON or NDJSON with items, feature"
            " collections and collections, which are checked"
        ),
    ] = "rasters"
    collection_id: (
        Annotated[
            CollectionId,
            Field(description="Of all items; without, documents go where each says that it belongs"),
        ]
        | None
    ) = None
    create_collection: (
        Annotated[
            NewCollection, Field(description="Create a collection that is missing, with this in its document")
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.kind == "rasters" and self.collection_id is None:
            raise ValueError("collection_id: rasters need one")
        if self.kind == "documents" and self.raster_items != RasterItems():
            given = [name for name in RasterItems.model_fields if name in self.model_fields_set]
            raise ValueError(f"{' and '.join(given)}: of rasters, not of documents")
        return self

    @property
    def raster_items(self) -> RasterItems:
        """How items are made of rasters."""
        return RasterItems.model_validate({name: getattr(self, name) for name in RasterItems.model_fields})


class StacRegister:
    """Stages: find files, build and check their items, load them in batches."""

    job_type = "stac_register"
    description = "Registers rasters, or items that are ready, in the STAC catalog."
    parameters_model = StacRegisterParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("find", "find_stac_sources"),
        StageDefinition("build", "build_stac_items", FailurePolicy.CONTINUE),
        StageDefinition("load", "load_items", FailurePolicy.CONTINUE),
    )

    def plan(
        self,
        stage: int,
        parameters: StacRegisterParameters,
        previous: StageResult | None,
    ) -> StagePlan:
        """One task that lists; one a file; one a batch of items, each of one collection."""
        new = parameters.create_collection
        created = {"create_collection": new.model_dump(mode="json") if new else None}
        if stage == 1:
            named = {"kind": parameters.kind, "collection_id": parameters.collection_id}
            return Tasks([{**source(parameters), **named, **created}])
        if stage == 2:
            return TasksFromItems(
                common={
                    "kind": parameters.kind,
                    "container": parameters.container,
                    "collection_id": parameters.collection_id,
                    "rasters": asked(parameters, RasterItems),
                },
                max_failed_fraction=parameters.max_failed_fraction,
                expected_seconds=_seconds(previous) if parameters.kind == "documents" else None,
            )
        return TasksFromItems(
            group_by="batch",
            common={**created, "exclusive": parameters.kind == "rasters"},
            max_failed_fraction=parameters.max_failed_fraction,
        )

    def aggregate(
        self,
        parameters: StacRegisterParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts, and the first rejected items and failed files with their reasons."""
        counts = dict.fromkeys(("items", "loaded", "replaced", "rejected", "collections"), 0)
        collections: dict[str, None] = {}
        unvalidated: dict[str, None] = {}
        rejects: list[JsonValue] = []
        failures: list[JsonValue] = []
        failed = 0
        for stage in range(2, len(stages) + 1):
            for task in results(stage):
                if task.error is not None:
                    failed += 1
                    if len(failures) < MAX_REASONS:
                        key = stages[stage - 1].stage_key
                        failures.append({"stage": key, "task_index": task.task_index, "reason": task.error})
                found = task.result or {}
                for name in counts:
                    # The items that are loaded are those that were built before.
                    if not (stage == 3 and name == "items"):
                        counts[name] += _number(found.get(name))
                rejects += _list(found.get("rejects"))[: MAX_REJECTS - len(rejects)]
                unvalidated.update(dict.fromkeys(map(str, _list(found.get("unvalidated")))))
                if "collection_id" in found:
                    collections[str(found["collection_id"])] = None
        return {
            "container": parameters.container,
            "collection_ids": [*list(collections)[:MAX_REASONS]],
            "files": stages[1].task_count if len(stages) > 1 else 0,
            **counts,
            "rejects": rejects,
            "failed": failed,
            "failures": failures,
            "unvalidated": [*sorted(unvalidated)[:MAX_UNVALIDATED]],
        }


def _seconds(found: StageResult | None) -> float | None:
    """How long a document is likely to take, from the size of all: large ones travel alone."""
    first = (found.first_task_results[0].result if found and found.first_task_results else None) or {}
    matched, size = _number(first.get("matched")), _number(first.get("bytes"))
    return SECONDS_A_FILE + size / matched / BYTES_A_SECOND if matched and size else None


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
