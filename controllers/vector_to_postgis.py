"""vector_to_postgis: every layer of the files that are named becomes a table of PostGIS, or says why not."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from interfaces.contracts import JobParameters, JsonObject, StageResult, TaskOutcome
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from interfaces.vectors import LoadOptions, VectorSources
from interfaces.workflows import TaskResults

MAX_TABLES = 100
MAX_REASONS = 100
COUNTED = (
    "read",
    "rejected",
    "repaired",
    "null_geometries",
    "empty_geometries",
    "linearised",
    "antimeridian",
    "collapsed",
    "repeated_vertices",
)


class VectorToPostgisParameters(VectorSources, LoadOptions):
    """Which files, what is read of them, and which tables they become."""


class VectorToPostgis:
    """Stages: list, inspect, prepare (a staging table each), load (its chunks), publish."""

    job_type = "vector_to_postgis"
    description = "Loads vector files into indexed PostGIS tables, which readers see whole or not at all."
    parameters_model: type[VectorToPostgisParameters] = VectorToPostgisParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_vectors"),
        StageDefinition("inspect", "inspect_vector", FailurePolicy.CONTINUE),
        StageDefinition("prepare", "prepare_table", FailurePolicy.CONTINUE),
        StageDefinition("load", "load_chunk", FailurePolicy.CONTINUE),
        StageDefinition("publish", "publish_layer", FailurePolicy.CONTINUE),
    )

    def plan(
        self,
        stage: int,
        parameters: VectorToPostgisParameters,
        previous: StageResult | None,  # noqa: ARG002 - of the contract
    ) -> StagePlan:
        """One task that lists; then one a file, a table, a chunk, and a table again."""
        fraction = parameters.max_failed_fraction
        options: JsonObject = {"options": asked(parameters, LoadOptions)}
        if stage == 1:
            return Tasks([asked(parameters, VectorSources, without={"max_failed_fraction"})])
        if stage == 2:
            return TasksFromItems(
                common={"container": parameters.container, **options}, max_failed_fraction=fraction
            )
        if stage == 3:
            return TasksFromItems(group_by="target", common=options, max_failed_fraction=fraction)
        if stage == 4:
            return TasksFromItems(common=options, max_failed_fraction=fraction)
        return TasksFromItems(group_by="staging", max_failed_fraction=fraction)

    def aggregate(
        self,
        parameters: VectorToPostgisParameters,  # noqa: ARG002 - of the contract
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts, the first tables, and every reason (up to a limit) why something is not among them."""
        counted = dict.fromkeys(COUNTED, 0)
        loaded = 0
        tables: list[JsonValue] = []
        failures: list[JsonValue] = []
        failed = published_tables = 0
        for number, stage in enumerate(stages, 1):
            for task in results(number):
                if task.error is not None:
                    failed += 1
                    if len(failures) < MAX_REASONS:
                        failures.append(
                            {"stage": stage.stage_key, "task_index": task.task_index, "reason": task.error}
                        )
                elif number == len(stages) and task.result is not None:
                    for name in COUNTED:
                        counted[name] += _number(task.result.get(name))
                    for published in _published(task):
                        loaded += _number(published.get("loaded"))
                        published_tables += 1
                        if len(tables) < MAX_TABLES:
                            tables.append(published)
        return {
            "loaded": loaded,
            **counted,
            "table_count": published_tables,
            "tables": tables,
            "failed": failed,
            "failures": failures,
        }


def asked(
    parameters: JobParameters, model: type[JobParameters], without: set[str] | None = None
) -> JsonObject:
    """The fields of `model` among a job's parameters."""
    return parameters.model_dump(mode="json", include=set(model.model_fields) - (without or set()))


def _published(task: TaskOutcome) -> list[JsonObject]:
    """The tables of one load: several where a layer is split by kind of geometry."""
    published = (task.result or {}).get("published")
    shown = ("rows", "loaded", "rejected", "extent", "srid", "geometry_type", "replaced", "parts")
    return [
        {
            "table": f"{done.get('target_schema')}.{done.get('target_table')}",
            **{name: done.get(name) for name in shown},
        }
        for done in (published if isinstance(published, list) else [])
        if isinstance(done, dict)
    ]


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
