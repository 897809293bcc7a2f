"""stac_validate: a collection and every item of it, held against the schemas they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field, JsonValue

from interfaces.catalog_items import CollectionId, ItemFilter
from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults

RANGE = 1000
"""Items that one task validates in about a second."""
RANGE_WITH_ASSETS = 200
MAX_REJECTS = 100
"""In the job's result; those of the tasks have more."""
MAX_SCHEMAS = 100
COUNTED = ("items", "valid", "invalid", "not_listed")


class StacValidateParameters(ItemFilter):
    """Which items, and whether their files are looked for."""

    model_config = examples({"collection": "silver", "check_assets": True})

    collection: CollectionId
    check_assets: Annotated[
        bool, Field(description="Ask our own storage for each file that an item refers to")
    ] = False


class StacValidate:
    """Stage 1 divides the items, stage 2 validates each range. An invalid item is a result, not a failure."""

    job_type = "stac_validate"
    description = "Checks a STAC collection and its items against the schemas of STAC and its extensions."
    parameters_model = StacValidateParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("divide", "divide_collections"),
        StageDefinition("validate", "validate_items", FailurePolicy.CONTINUE),
    )

    def plan(
        self,
        stage: int,
        parameters: StacValidateParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """One task that divides, one for each range."""
        wanted = parameters.model_dump(mode="json", include=set(ItemFilter.model_fields))
        if stage == 1:
            size = RANGE_WITH_ASSETS if parameters.check_assets else RANGE
            return Tasks([{"collections": [parameters.collection], "size": size, "wanted": wanted}])
        return TasksFromItems(common={"wanted": wanted, "check_assets": parameters.check_assets})

    def aggregate(
        self,
        parameters: StacValidateParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts, and the first items that are invalid or whose files are missing."""
        counts: Counter[str] = Counter()
        assets: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        rejects: list[JsonValue] = []
        own: list[JsonValue] = []
        missing: list[JsonValue] = []
        for task in results(len(stages)):
            found = task.result or {}
            counts.update(_counts(found, COUNTED))
            assets.update(_counts(found.get("assets"), ("found", "missing", "elsewhere")))
            schemas = found.get("unknown_schemas")
            unknown.update(_counts(schemas, schemas if isinstance(schemas, dict) else ()))
            _take(rejects, found.get("rejects"))
            _take(own, found.get("collection_rejects"))
            _take(missing, found.get("missing_assets"))
        return {
            "collection": parameters.collection,
            **{name: counts[name] for name in COUNTED},
            "ranges_failed": stages[-1].failed_tasks,
            "rejects": rejects,
            "collection_rejects": own,
            "unknown_schemas": dict(unknown.most_common(MAX_SCHEMAS)),
            "assets": {**assets} if parameters.check_assets else None,
            "missing_assets": missing,
        }


def _counts(found: JsonValue, names: Iterable[str]) -> dict[str, int]:
    given = found if isinstance(found, dict) else {}
    return {name: count for name in names if isinstance(count := given.get(name), int)}


def _take(first: list[JsonValue], more: JsonValue) -> None:
    if isinstance(more, list):
        first.extend(more[: MAX_REJECTS - len(first)])
