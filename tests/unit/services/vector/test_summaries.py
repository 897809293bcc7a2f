"""What stays in the database of results that are too large for it."""

from __future__ import annotations

import json
from typing import Any

from controllers.validate_vector import ValidateVector, ValidateVectorParameters
from controllers.vector_to_postgis import VectorToPostgis, VectorToPostgisParameters
from interfaces.contracts import JsonObject, TaskOutcome
from interfaces.layers import SUMMED_COUNTS, Attribute, Column, LoadedTable, TableColumn
from interfaces.settings import Settings
from interfaces.states import TaskStatus
from services.vector.findings import Example
from services.vector.publishing import PublishLayerResult
from services.vector.validating import LayerReport, VectorValidity
from tests.unit.controllers.outcomes import stage_result

LIMIT = Settings().max_inline_result_bytes
NAME = "ä" * 60


def outcome(result: JsonObject) -> TaskOutcome:
    assert len(json.dumps(result, ensure_ascii=False).encode()) < LIMIT
    return TaskOutcome(task_index=0, status=TaskStatus.COMPLETED, result=result, result_url="https://r")


def test_a_load_of_thousands_of_columns_and_files_is_counted_by_its_summary() -> None:
    table = LoadedTable(
        target_schema="features",
        target_table="wide",
        rows=7,
        loaded=5,
        rejected=2,
        extent=[0, 0, 1, 1],
        replaced=False,
        srid=4326,
        geometry_type="MultiPolygon",
        columns=[Column(name=f"{NAME}{n}", type="text", original=NAME * 9) for n in range(1500)],
        table_columns=[TableColumn(name=f"{NAME}{n}", type="text") for n in range(1500)],
        notes=[f"{NAME}: has text that is cut"] * 10_000,
        sources=[NAME * 17] * 10,
    )
    counts = dict.fromkeys(SUMMED_COUNTS, 2)
    whole = PublishLayerResult.model_validate(
        {**counts, "largest_area_change": 0.5, "published": [table] * 5}
    )
    assert len(whole.model_dump_json().encode()) > LIMIT
    job = VectorToPostgis()
    stages = [stage_result(number, 1) for number, _ in enumerate(job.stages, 1)]
    tasks = {5: [outcome(whole.summary())]}
    asked = VectorToPostgisParameters(container="files", blob="wide.gpkg")
    result = job.aggregate(asked, stages, lambda stage: iter(tasks.get(stage, [])))
    assert (result["loaded"], result["rejected"], result["table_count"]) == (25, 2, 5)


def test_a_report_on_a_thousand_layers_is_counted_by_its_summary() -> None:
    reasons = {f"{NAME} {n}": 1 for n in range(30)}
    layer = LayerReport(
        layer=NAME,
        driver="GPKG",
        features=3,
        fields=[Attribute(name=NAME, type="text")] * 50,
        invalid_geometries=2,
        invalid_reasons=reasons,
        invalid_examples=[Example(feature_id="1", reason=NAME)] * 10,
        rejected=1,
        rejected_reasons=reasons,
    )
    whole = VectorValidity(
        name=NAME, verdict="invalid", reasons=[NAME * 100] * 1000, size=1, layers=[layer] * 1000
    )
    assert len(whole.model_dump_json().encode()) > LIMIT
    stages = [stage_result(1, 1), stage_result(2, 1)]
    found = outcome(whole.summary())
    asked = ValidateVectorParameters(container="files", blob="many.gpkg")
    result = ValidateVector().aggregate(asked, stages, lambda stage: iter([found] if stage == 2 else []))
    assert result["verdicts"] == {"invalid": 1}
    assert (result["layers"], result["features"], result["invalid_geometries"], result["rejected"]) == (
        1000,
        3000,
        2000,
        1000,
    )
    said: Any = result["not_valid"]
    assert len(json.dumps(said, ensure_ascii=False)) < 10_000
