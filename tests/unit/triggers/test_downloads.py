"""Results as NDJSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.http.downloads import FORMULA_STARTS, csv_download, ndjson_download

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def row(index: int, result: object = None, **others: object) -> dict[str, object]:
    return {
        "task_id": f"job-1-1-{index}",
        "task_index": index,
        "status": "completed",
        "attempt": 1,
        "result": None if result is None else json.dumps(result),
        "result_url": None,
        "result_bytes": None,
        "result_sha256": None,
        "error": None,
        "started_at": AT,
        "completed_at": None,
        **others,
    }


def table(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def test_a_line_of_ndjson_holds_the_result_as_json() -> None:
    body = ndjson_download([row(0, {"a": [1, {"b": None}]}), row(1, error="no\nluck")]).body
    first, second = (json.loads(line) for line in body.splitlines())
    assert first["result"] == {"a": [1, {"b": None}]}
    assert first["started_at"] == "2026-05-04T03:02:01+00:00"
    assert (second["result"], second["error"]) == (None, "no\nluck")


def test_a_download_stops_at_its_largest_size_and_says_where() -> None:
    rows = (row(index, {"text": "x" * 100}) for index in range(1000))
    download = ndjson_download(rows, max_bytes=2000)
    assert download.full
    assert len(download.body.splitlines()) == download.rows == (download.last_index or 0) + 1
    assert 2000 <= len(download.body) < 2500


def test_rows_are_not_read_beyond_the_largest_size() -> None:
    read = []

    def rows() -> Iterator[dict[str, object]]:
        for index in range(1000):
            read.append(index)
            yield row(index)

    ndjson_download(rows(), max_bytes=500)
    assert len(read) < 5


def test_each_kind_of_value_has_its_form_in_a_cell() -> None:
    result = {"t": "plain", "i": -5, "f": 0.5, "b": True, "n": None, "l": [1, "a"], "o": {"k": 1}}
    (cells,) = table(csv_download([row(0, result)], sorted(result)).body)
    assert {name: cells[f"result.{name}"] for name in result} == {
        "t": "plain",
        "i": "-5",
        "f": "0.5",
        "b": "true",
        "n": "",
        "l": '[1,"a"]',
        "o": '{"k":1}',
    }


def test_missing_keys_and_missing_results_are_empty_cells() -> None:
    first, second, third = table(csv_download([row(0, {"a": 1}), row(1, {"b": 2}), row(2)], ["a", "b"]).body)
    assert [(r["result.a"], r["result.b"]) for r in (first, second, third)] == [
        ("1", ""),
        ("", "2"),
        ("", ""),
    ]


def test_too_many_keys_leave_the_result_in_one_column() -> None:
    (cells,) = table(csv_download([row(0, {"a": 1})], None).body)
    assert cells["result"] == '{"a": 1}'


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_text_that_a_spreadsheet_would_run_is_disarmed(start: str) -> None:
    (cells,) = table(
        csv_download([row(0, {"a": f"{start}cmd|' /C calc'!A0"}, error=f"{start}1")], ["a"]).body
    )
    assert cells["result.a"].startswith(f"'{start}")
    assert cells["error"] == f"'{start}1"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_any_text_comes_back_from_its_cell(texts: list[str]) -> None:
    rows = table(csv_download([row(i, {"a": text}) for i, text in enumerate(texts)], ["a"]).body)
    expected = [f"'{text}" if text.startswith(FORMULA_STARTS) else text for text in texts]
    assert [cells["result.a"] for cells in rows] == expected


def test_the_names_of_result_columns_cannot_be_formulas() -> None:
    header = csv_download([], ["=1+1", "a"]).body.decode().splitlines()[0]
    assert header.split(",")[4:6] == ["result.=1+1", "result.a"]
