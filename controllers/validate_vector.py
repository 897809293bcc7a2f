"""validate_vector: says of each vector file what is in it, what is wrong, and whether it would load."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from interfaces.contracts import JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from interfaces.vectors import GeometryOptions, ReadOptions, VectorSources
from interfaces.workflows import TaskResults

from .vector_to_postgis import asked

MAX_INVALID = 100
MAX_REASONS, MAX_REASON = 10, 500
"""For each of them; all are in the result of its task."""
COUNTED = ("features", "null_geometries", "empty_geometries", "invalid_geometries", "rejected")


class ValidateVectorParameters(VectorSources, ReadOptions, GeometryOptions):
    """Which files, and how vector_to_postgis would be asked to read them."""

    model_config = examples({"container": "bronze", "prefix": "vectors/"})


class ValidateVector:
    """Stage 1 lists, stage 2 validates each file. A file that is invalid is a result, not a failure."""

    job_type = "validate_vector"
    description = "Checks vector files: layers, geometries, and what vector_to_postgis would refuse of them."
    parameters_model: type[ValidateVectorParameters] = ValidateVectorParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_vectors"),
        StageDefinition("validate", "validate_vector", FailurePolicy.CONTINUE),
    )

    def plan(
        self,
        stage: int,
        parameters: ValidateVectorParameters,
        previous: StageResult | None,  # noqa: ARG002 - of the contract
    ) -> StagePlan:
        """Stage 1: one task that lists. Stage 2: one task for each file it found."""
        if stage == 1:
            return Tasks([asked(parameters, VectorSources, without={"max_failed_fraction"})])
        options = asked(parameters, ReadOptions) | asked(parameters, GeometryOptions)
        return TasksFromItems(
            common={"container": parameters.container, "options": options},
            max_failed_fraction=parameters.max_failed_fraction,
        )

    def aggregate(
        self,
        parameters: ValidateVectorParameters,
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts by verdict and of features, and the first files that are not valid, with their reasons."""
        verdicts: dict[str, int] = {}
        counted = dict.fromkeys(COUNTED, 0)
        layers = 0
        invalid: list[JsonValue] = []
        for task in results(2):
            found = task.result or {}
            verdict = str(found.get("verdict", "not_checked"))
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
            reported = found.get("layers")
            for layer in reported if isinstance(reported, list) else []:
                layers += 1
                for name in COUNTED:
                    number = layer.get(name) if isinstance(layer, dict) else None
                    counted[name] += number if isinstance(number, int) else 0
            if verdict != "valid" and len(invalid) < MAX_INVALID:
                reasons = _first(found.get("reasons")) or task.error
                invalid.append({"name": found.get("name"), "verdict": verdict, "reasons": reasons})
        return {
            "container": parameters.container,
            "files": stages[-1].task_count,
            "verdicts": {**verdicts},
            "layers": layers,
            **counted,
            "not_valid": invalid,
        }


def _first(reasons: JsonValue) -> list[JsonValue]:
    found = reasons if isinstance(reasons, list) else []
    return [str(reason)[:MAX_REASON] for reason in found[:MAX_REASONS]]
