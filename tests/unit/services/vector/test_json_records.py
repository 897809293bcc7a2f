"""How large features of GeoJSON are is known before GDAL reads them, and so how many may be read together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from services.vector import chunking, json_records
from services.vector.json_records import rows_of_collection, rows_of_sequence
from services.vector.parts import Part, screened
from tests.unit.services.vector.loads import written

ODD = ['}}}{{"', "\\", '\\"}', "}", "", '{"a":{"b":"\\\\"}}', "é" * 5]


def nothing() -> None: ...


def feature(text: str, **others: Any) -> str:
    about = {"a": text, "b": {"c": [{}, {"d": text}]}} | others
    point = {"type": "Point", "coordinates": [1, 2]}
    return json.dumps({"type": "Feature", "properties": about, "geometry": point}, ensure_ascii=False)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "FREE_BYTES", 10)
    monkeypatch.setattr(chunking, "TOGETHER", 20_000)


@pytest.mark.parametrize("block", [1, 2, 7, 1000])
def test_the_largest_feature_is_found_whatever_its_texts_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(json_records, "BLOCK", block)
    features = [feature(text) for text in ODD]
    large = feature("{" * 150 + "\\" * 50 + '"' * 51)
    for joint in (",\n", ","):
        text = '{"type":"FeatureCollection","features":[' + joint.join([*features, large, *features]) + "]}"
        path = tmp_path / "a.geojson"
        path.write_text(text)
        found = rows_of_collection(path, nothing)
        assert found == 20_000 // (len(large.encode()) + len(joint))


@pytest.mark.parametrize("begin", ["", "\x1e"])
def test_the_largest_record_is_found_by_what_ends_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    monkeypatch.setattr(json_records, "BLOCK", 100)
    large = feature("x" * 3000)
    path = tmp_path / "a.geojsonl"
    path.write_text("\n".join(begin + one for one in [feature("a"), large, feature("b")]) + "\n")
    found = rows_of_sequence(path, nothing)
    assert found == 20_000 // (len(large) + 1)


@pytest.mark.parametrize("name", ["a.geojson", "a.geojsonl"])
def test_one_that_is_too_large_is_refused_near_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    features = [feature("a"), feature("x" * 5000), feature("b")]
    path = tmp_path / name
    if name == "a.geojson":
        path.write_text('{"type":"FeatureCollection","features":[' + ",".join(features) + "]}")
    else:
        path.write_text("\n".join(features))
    part = Part(path, "GeoJSON", "a")
    assert screened(part, None, nothing).together
    monkeypatch.setattr(json_records, "BLOCK", 1000)
    monkeypatch.setattr(json_records, "MAX_FEATURE_BYTES", 4000)
    with pytest.raises(PermanentTaskError, match=r"near (feature|record) 2: one feature is larger than 32"):
        screened(part, None, nothing)


@pytest.mark.parametrize("name", ["a.geojson", "a.geojsonl"])
def test_nothing_is_lost_where_few_are_read_at_a_time(tmp_path: Path, name: str) -> None:
    features = [feature(str(number) + "x" * 8000 * (number % 10 == 5), n=number) for number in range(300)]
    path = tmp_path / name
    if name == "a.geojson":
        path.write_text('{"type":"FeatureCollection","features":[' + ",".join(features) + "]}")
    else:
        path.write_text("\n".join(features))
    made = written(path)
    assert made.column("n") == list(range(300))
    assert made.counts.read == 300
