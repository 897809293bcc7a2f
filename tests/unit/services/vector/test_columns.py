"""Values that a column cannot hold are told row by row, so that they reject a feature and fail no load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import shapely

from .loads import written

GEO = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
NOT_A_NUMBER = "column 'v': its JSON has NaN or an infinity, which are no numbers there"
NUL = "column 'v': its JSON has a NUL character"


def parquet(path: Path, values: list[Any]) -> Path:
    shapes = [shapely.to_wkb(shapely.Point(1, 2))] * len(values)
    table = pyarrow.table({"geometry": pyarrow.array(shapes), "v": values})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(GEO)}), path)
    return path


def geojson(path: Path, values: list[Any]) -> Path:
    point = {"type": "Point", "coordinates": [1, 2]}
    features = [{"type": "Feature", "geometry": point, "properties": {"v": value}} for value in values]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(float("nan"), NOT_A_NUMBER), (float("-inf"), NOT_A_NUMBER)],
)
def test_what_json_has_not_rejects_its_feature(tmp_path: Path, bad: float, reason: str) -> None:
    values = [{"a": [bad]}, {"a": [1.5]}, {"a": None}]
    for path in (parquet(tmp_path / "a.parquet", values), geojson(tmp_path / "a.geojson", values)):
        made = written(path)
        assert made.reasons() == {"0": reason}
        assert [json.loads(one) for one in made.column("v")] == values[1:]


def test_in_texts_it_is_only_text(tmp_path: Path) -> None:
    values = [{"a": "x\0y"}, {"a": "NaN"}, {"a": "-Infinity \\u0000"}]
    made = written(parquet(tmp_path / "a.parquet", values))
    assert made.reasons() == {"0": NUL}
    assert [json.loads(one) for one in made.column("v")] == values[1:]
