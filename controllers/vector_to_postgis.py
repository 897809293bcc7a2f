"""vector_to_postgis: every layer of the files that are named becomes a table of PostGIS, or says why not."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from interfaces.contracts import JobParameters, JsonObject, StageResult, TaskOutcome, examples
from interfaces.layers import SUMMED_COUNTS
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.registrations import NewCollection
from interfaces.states import FailurePolicy
from interfaces.vectors import LoadOptions, TableCatalog, VectorSources
from interfaces.workflows import TaskResults

PUBLISH = 5
MAX_TABLES = 100
MAX_REASONS = 100


class VectorToPostgisParameters(VectorSources, LoadOptions, TableCatalog):
    """Which files, what is read of them, and which tables they become."""

    model_config = examples(
        {"container": "bronze", "blob": "stations.gpkg", "target_table": "stations", "if_exists": "replace"}
    )


class VectorToPostgis:
    """Stages: list, inspect, prepare (a staging table each), load (its chunks), publish, register (STAC)."""

    job_type = "vector_to_postgis"
    description = "Loads vector files into indexed PostGIS tables, which readers see whole or not at all."
    parameters_model: type[VectorToPostgisParameters] = VectorToPostgisParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("list", "list_vectors"),
        StageDefinition("inspect", "inspect_vector", FailurePolicy.CONTINUE),
        StageDefinition("prepare", "prepare_table", FailurePolicy.CONTINUE),
        StageDefinition("load", "load_chunk", FailurePolicy.CONTINUE),
        StageDefinition("publish", "publish_layer", FailurePolicy.CONTINUE),
        StageDefinition("register", "load_items", FailurePolicy.CONTINUE),
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
        if stage == PUBLISH:
            catalog = asked(parameters, TableCatalog)
            return TasksFromItems(group_by="staging", common=catalog, max_failed_fraction=fraction)
        # Without a catalog it has nothing to do. No table is less published for it.
        new = NewCollection(description=f"Tables of features in the schema {parameters.target_schema}")
        return TasksFromItems(
            group_by="batch",
            common={
                "create_collection": new.model_dump(mode="json"),
                "exclusive": True,
                "optional": True,
            },
        )

    def aggregate(
        self,
        parameters: VectorToPostgisParameters,  # noqa: ARG002 - of the contract
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts, the first tables, and every reason (up to a limit) why something is not among them."""
        tally = _Tally()
        for number, stage in enumerate(stages, 1):
            for task in results(number):
                if task.error is not None:
                    tally.fail(stage.stage_key, task)
                elif number == PUBLISH:
                    tally.publish(task.result or {})
                elif number > PUBLISH:
                    tally.register(task.result or {})
        return tally.result()


class _Tally:
    """Adds up what became of the tables."""

    def __init__(self) -> None:
        self._counted = dict.fromkeys(SUMMED_COUNTS, 0)
        self._loaded = self._tables = self._failed = self._registered = 0
        self._first: list[JsonValue] = []
        self._failures: list[JsonValue] = []
        self._catalog: str | None = None
        self._not_registered: list[JsonValue] = []

    def fail(self, stage: str, task: TaskOutcome) -> None:
        self._failed += 1
        if len(self._failures) < MAX_REASONS:
            self._failures.append({"stage": stage, "task_index": task.task_index, "reason": task.error})

    def publish(self, result: JsonObject) -> None:
        for name in SUMMED_COUNTS:
            self._counted[name] += _number(result.get(name))
        for published in _published(result):
            self._loaded += _number(published.get("loaded"))
            self._tables += 1
            if len(self._first) < MAX_TABLES:
                self._first.append(published)
        self._leave_out(result.get("not_for_catalog"))

    def register(self, batch: JsonObject) -> None:
        self._catalog = str(batch.get("status"))
        self._registered += _number(batch.get("loaded"))
        self._leave_out(batch.get("rejects"))

    def _leave_out(self, reasons: JsonValue) -> None:
        if isinstance(reasons, list):
            self._not_registered += reasons[: MAX_REASONS - len(self._not_registered)]

    def result(self) -> JsonObject:
        """The job's result."""
        return {
            "loaded": self._loaded,
            **self._counted,
            "table_count": self._tables,
            "tables": self._first,
            "registered": self._registered,
            "catalog": self._catalog,
            "not_registered": self._not_registered,
            "failed": self._failed,
            "failures": self._failures,
        }


def asked(
    parameters: JobParameters, model: type[JobParameters], without: set[str] | None = None
) -> JsonObject:
    """The fields of `model` among a job's parameters."""
    return parameters.model_dump(mode="json", include=set(model.model_fields) - (without or set()))


def _published(result: JsonObject) -> list[JsonObject]:
    """The tables of one load: several where a layer is split by kind of geometry."""
    published = result.get("published")
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
