"""Parquet files that become much more than they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from interfaces.vectors import ReadOptions
from services.vector import parquet_pages
from services.vector.chunking import Bound
from services.vector.parquet_pages import rows_at_a_time
from services.vector.parts import Part, screened
from services.vector.reading import layers, stream

ABOUT = {"primary_column": "geom", "version": "1.1.0", "columns": {"geom": {"encoding": "WKB"}}}
MIB = 1024**2
POINT = shapely.to_wkb(shapely.points([1, 2]))


def nothing() -> None: ...


def made(path: Path, rows: int, column: pyarrow.Array, **options: Any) -> Path:
    """Points with one more column."""
    table = pyarrow.table({"geom": pyarrow.array([POINT] * rows, pyarrow.binary()), "t": column})
    asked = {"compression": "zstd", "store_schema": False} | options
    with pyarrow.parquet.ParquetWriter(path, table.schema, **asked) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"geo": json.dumps(ABOUT)})
    return path


def zeros(rows: int, size: int) -> pyarrow.Array:
    """The same value again and again, once in a dictionary."""
    indexes = pyarrow.array([0] * rows, pyarrow.int32())
    return pyarrow.DictionaryArray.from_arrays(indexes, pyarrow.array([b"\0" * size]))


def test_pages_that_do_not_fit_into_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = pyarrow.array([b"\0" * 4 * MIB, b""], pyarrow.binary())
    path = made(tmp_path / "a.parquet", 2, values, use_dictionary=False, write_statistics=False)
    assert path.stat().st_size < 2000
    assert rows_at_a_time(path, nothing) > 1000
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", 4 * MIB)
    with pytest.raises(
        PermanentTaskError, match=r"its pages and dictionaries would take 4\.0 MiB .*at most 4\.0 MiB"
    ):
        rows_at_a_time(path, nothing)


@pytest.mark.parametrize(("kept", "times"), [(False, 2), (True, 4)])
def test_a_dictionary_counts_as_often_as_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool, times: int
) -> None:
    asked: dict[str, Any] = {"dictionary_pagesize_limit": 9 * MIB, "store_schema": kept}
    path = made(tmp_path / "a.parquet", 9, zeros(9, MIB), **asked)
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", int((times + 0.1) * MIB))
    rows_at_a_time(path, nothing)
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", times * MIB)
    with pytest.raises(PermanentTaskError, match=rf"would take {times}\.0 MiB of memory"):
        rows_at_a_time(path, nothing)


def test_the_headers_count_and_not_what_the_footer_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = pyarrow.array([b"\0" * 1000, b""], pyarrow.binary())
    path = made(tmp_path / "a.parquet", 2, values, use_dictionary=False, write_statistics=False)
    about = pyarrow.parquet.read_metadata(path).row_group(0).column(1)
    file = os.open(path, os.O_RDWR)
    [page] = parquet_pages._Column(about, lists=False)._pages(file)
    # Zigzag: as many bytes for a number up to 8191.
    honest, lie = (bytes([value << 1 & 127 | 128, value << 1 >> 7]) for value in (page.unpacked, 8000))
    head = os.pread(file, 64, about.data_page_offset)
    os.pwrite(file, head.replace(honest, lie, 1), about.data_page_offset)
    os.close(file)
    assert pyarrow.parquet.read_metadata(path).row_group(0).column(1).total_uncompressed_size < 2000
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", 4000)
    with pytest.raises(PermanentTaskError, match=r"its pages and dictionaries would take 7\.\d KiB"):
        rows_at_a_time(path, nothing)


def test_what_becomes_many_times_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.parquet", 9, zeros(9, 2 * MIB), dictionary_pagesize_limit=9 * MIB)
    rows_at_a_time(path, nothing)
    monkeypatch.setattr(parquet_pages, "FREE_BYTES", MIB)
    with pytest.raises(PermanentTaskError, match=r"would become 2\.0 MiB, \d+ times its size; at most 200"):
        rows_at_a_time(path, nothing)


def test_lists_of_more_values_than_bits_are_refused(tmp_path: Path) -> None:
    count = 5_000_000
    lists = pyarrow.ListArray.from_arrays(
        pyarrow.array([0, count], pyarrow.int32()), pyarrow.array(numpy.zeros(count, numpy.int8))
    )
    path = made(tmp_path / "a.parquet", 1, lists)
    with pytest.raises(PermanentTaskError, match="its lists would have 5000000 values"):
        rows_at_a_time(path, nothing)


@pytest.mark.parametrize(
    "options", [{}, {"use_dictionary": False, "column_encoding": {"t": "DELTA_BYTE_ARRAY"}}]
)
def test_of_a_large_value_that_is_written_once_few_are_read_at_a_time(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    column = zeros(60, 2 * MIB) if not options else pyarrow.array([b"\0" * 2 * MIB] * 60)
    path = made(tmp_path / "a.parquet", 60, column, dictionary_pagesize_limit=9 * MIB, **options)
    part = screened(Part(path, "Parquet", "a"), None, nothing)
    assert part.together is not None
    assert part.together.rows < 16
    [layer] = layers(part)
    with stream(layer, ReadOptions(), batch=50) as features:
        rows = [batch.num_rows for batch in features.batches]
    assert sum(rows) == 60
    assert max(rows) < 50


def test_rows_that_are_read_a_few_at_a_time_come_together_and_in_order(tmp_path: Path) -> None:
    path = made(tmp_path / "a.parquet", 100, pyarrow.array(range(100)))
    [layer] = layers(Part(path, "Parquet", "a", together=Bound(7, 7)))
    with stream(layer, ReadOptions(), batch=50) as features:
        batches = list(features.batches)
    assert [value for one in batches for value in one.column(1).to_pylist()] == list(range(100))
    assert max(one.num_rows for one in batches) > 40


@pytest.mark.parametrize(
    "options",
    [
        {"data_page_version": "2.0"},
        {"use_dictionary": False, "data_page_size": 100},
        {"compression": None, "write_page_checksum": True},
        {"write_page_index": True, "row_group_size": 100},
    ],
    ids=range(4),
)
def test_every_page_of_a_file_is_found(tmp_path: Path, options: dict[str, Any]) -> None:
    size = options.pop("row_group_size", 1000)
    texts = pyarrow.array([None if n % 7 == 0 else f"text {n % 50} " * 9 for n in range(1000)])
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"a": texts, "b": list(range(1000)), "c": [[n] * (n % 4) for n in range(1000)]})
    pyarrow.parquet.write_table(table, path, row_group_size=size, **options)
    about = pyarrow.parquet.read_metadata(path)
    with path.open("rb") as file:
        for group in range(about.num_row_groups):
            for number in range(about.num_columns):
                column = about.row_group(group).column(number)
                pages = list(parquet_pages._Column(column, lists=False)._pages(file.fileno()))
                assert sum(page.values for page in pages) == column.num_values
                assert sum(page.unpacked for page in pages) < column.total_uncompressed_size
                assert sum(page.unpacked for page in pages) > 0.5 * column.total_uncompressed_size - 100
    assert rows_at_a_time(path, nothing) > 1


@pytest.mark.parametrize("place", [4, 5, 6, 7])
def test_a_header_that_is_none_is_left_to_pyarrow(tmp_path: Path, place: int) -> None:
    path = made(tmp_path / "a.parquet", 9, pyarrow.array(range(9)))
    content = bytearray(path.read_bytes())
    content[place] = 0xFF
    path.write_bytes(content)
    rows_at_a_time(path, nothing)
    path.write_bytes(b"PAR1" + b"\xff" * 40)
    assert rows_at_a_time(path, nothing) == 1
