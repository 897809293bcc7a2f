"""U+0000 and numbers of more than 64 bits in GeoJSON, which GDAL cuts at, or refuses the whole file for."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from services.vector import json_text
from services.vector.json_text import made_readable

from .loads import found_in, nothing, written

POINT = {"type": "Point", "coordinates": [1, 2]}
LARGE = "column 'v': the number does not fit into 64 bits"


def file(path: Path, values: list[Any]) -> Path:
    features = [{"type": "Feature", "geometry": POINT, "properties": {"v": value}} for value in values]
    if path.suffix == ".geojsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in features))
    else:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize("extension", ["geojson", "geojsonl"])
@pytest.mark.parametrize(
    ("bad", "good", "what"),
    [
        ("a\0b", "\\u0000", "text"),
        (["a\0"], ["b", "\ufffd"], "text"),
        ({"a": "\0"}, {"a": "\\\\u0000"}, "JSON"),
    ],
)
def test_a_text_with_u0000_rejects_its_feature(
    tmp_path: Path, extension: str, bad: Any, good: Any, what: str
) -> None:
    made = written(file(tmp_path / f"a.{extension}", [bad, good, None]))
    assert made.reasons() == {"0": f"column 'v': its {what} has a NUL character"}
    read = [json.loads(one) if what == "JSON" and one else one for one in made.column("v")]
    assert read == [good, None]


@pytest.mark.parametrize("extension", ["geojson", "geojsonl"])
@pytest.mark.parametrize("large", [2**63, 2**64 - 1, -(2**63) - 1])
@pytest.mark.parametrize(
    "form", [lambda n: n, lambda n: [n], lambda n: {"a": n}], ids=["one", "list", "nested"]
)
def test_a_number_of_more_than_64_bits_rejects_its_feature(
    tmp_path: Path, extension: str, large: int, form: Any
) -> None:
    made = written(file(tmp_path / f"a.{extension}", [form(large), form(5)]))
    assert made.reasons() == {"0": LARGE}
    found = made.column("v")[0]
    assert (json.loads(found) if isinstance(found, str) else found) == form(5)


def test_numbers_in_texts_and_floating_point_numbers_stay_as_they_are(tmp_path: Path) -> None:
    path = file(tmp_path / "a.geojson", [f'"{2**63}, {2**63}'])
    assert written(path).column("v") == [f'"{2**63}, {2**63}']
    made = written(file(tmp_path / "b.geojson", [float(2**62), 9.5e18, 10**22, 0.5]))
    assert made.column("v") == [2.0**62, 9.5e18, 1e22, 0.5]
    mixed = written(file(tmp_path / "c.geojson", [2**63, 0.5]))
    assert (mixed.reasons(), mixed.column("v")) == ({"0": LARGE}, [0.5])


def test_a_file_without_either_is_not_changed(tmp_path: Path) -> None:
    path = file(tmp_path / "a.geojson", [2**63 - 1, -(2**63), "\\u0000"])
    before = path.read_bytes()
    assert not made_readable(path, nothing)
    assert path.read_bytes() == before
    assert found_in(path).notes == []
    assert written(path).counts.rejected == 0


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_same_however_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    parts = ['"', '"', "\\\\", '\\"', "\\u0000", "\\n", ",", " ", "\n", "abc", "[", "é", "0.", "e5"]
    parts += [str(2**63), str(2**63 - 1), str(-(2**63) - 1), str(2**64), str(2**63) + "0", "-5"]
    text = "".join(chance.choices(parts, k=60)).encode()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.write_bytes(text)
    cut.write_bytes(text)
    found = made_readable(whole, nothing)
    monkeypatch.setattr(json_text, "BLOCK", chance.randint(1, 9))
    monkeypatch.setattr(json_text, "LONGEST", 10_000)
    assert made_readable(cut, nothing) == found
    assert cut.read_bytes() == whole.read_bytes()


def test_a_text_that_is_never_closed_ends_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.geojsonl"
    path.write_text(f'{{"a": "\n{2**63}\n{{"b": "{2**63}"}}\n')
    assert made_readable(path, nothing)
    assert path.read_text() == f'{{"a": "\n{2**63 - 1}\n{{"b": "{2**63}"}}\n'


@pytest.mark.parametrize("extension", ["geojson", "geojsonl"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2024-02-30", "2024-03-01"], "text"),
        (["2023/02/29T10:00:00Z", "2024/11/30T10:00:00Z", "2024/11/31"], "text"),
        ([["2024-04-31", "a"], ["b"]], "text[]"),
        ([{"2024-04-31": "2024-06-31"}, {"a": ["2023-02-29", "a\ufffd"]}], "jsonb"),
        (['"2024-02-30"', "at 2024-02-30"], "text"),
    ],
)
def test_a_day_that_is_in_no_calendar_stays_a_text(
    tmp_path: Path, extension: str, values: list[Any], kind: str
) -> None:
    path = file(tmp_path / f"a.{extension}", values)
    assert [one.type for one in found_in(path).fields] == [kind]
    read = written(path).column("v")
    assert [json.loads(one) if kind == "jsonb" else one for one in read] == values


def test_days_are_dates_beside_a_name_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    about = {"2024-02-30": "2024-02-29"}
    path.write_text(json.dumps({"type": "Feature", "geometry": POINT, "properties": about}))
    [field] = found_in(path).fields
    assert (field.name, field.type) == ("2024-02-30", "date")


@pytest.mark.parametrize("extension", ["geojson", "geojsonl"])
@pytest.mark.parametrize(
    "values",
    [
        [True, 5, None, False],
        [1.5, False],
        [2**40, True],
        [[1.5], [True, False]],
        [[1], True],
        [{"v": True}, {"v": 5}],
        [True, {"v": 5}, 5],
    ],
)
def test_truth_among_numbers_is_no_number(tmp_path: Path, extension: str, values: list[Any]) -> None:
    path = file(tmp_path / f"a.{extension}", values)
    assert [one.type for one in found_in(path).fields] == ["jsonb"]
    assert [one and json.loads(one) for one in written(path).column("v")] == values


def test_columns_of_truth_stay_such(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    about = [{"a": True, "b": 1, "c": {"a": 5, "b": False}, 'd"b': True}, {"a": False, "b": 2}]
    features = [{"type": "Feature", "geometry": POINT, "properties": one} for one in about]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert [one.type for one in found_in(path).fields] == ["boolean", "integer", "jsonb", "boolean"]
    made = written(path)
    assert (made.column("a"), made.column("b")) == ([True, False], [1, 2])
    assert json.loads(made.column("c")[0]) == {"a": 5, "b": False}
