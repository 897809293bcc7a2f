"""Results as NDJSON and CSV, written row by row up to what one response may hold.

A response of the Functions host is one body in memory, so its size is bounded; where there is more, the
response links to its next part.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .dependencies import Document
from .responses import plain, to_json

MAX_BYTES = 128 * 1024 * 1024
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes text with these in front for a formula (OWASP, CSV injection)."""
TASK_COLUMNS = ("task_id", "task_index", "status", "attempt")
END_COLUMNS = (
    "result_url",
    "result_bytes",
    "result_sha256",
    "error",
    "started_at",
    "completed_at",
)


@dataclass(frozen=True)
class Download:
    """A body, how many rows it holds and the last one's index; `full` when it reached its largest size."""

    body: bytes
    rows: int
    last_index: int | None
    full: bool


def ndjson_download(rows: Iterable[Document], *, max_bytes: int = MAX_BYTES) -> Download:
    """One JSON object a line (https://github.com/ndjson/ndjson-spec)."""
    return _written(((_index(row), outcome_json(row) + "\n") for row in rows), b"", max_bytes)


def csv_download(
    rows: Iterable[Document], keys: Sequence[str] | None, *, max_bytes: int = MAX_BYTES
) -> Download:
    """A table (RFC 4180): the task's columns, and one for each key of the results.

    Lists and objects in a result are JSON in their cell. `keys` None: the whole result is one cell.
    """
    writer = _LineWriter()
    names = ["result"] if keys is None else [f"result.{key}" for key in keys]
    header = writer.line([*TASK_COLUMNS, *names, *END_COLUMNS]).encode()
    lines = ((_index(row), writer.line(_cells(row, keys))) for row in rows)
    return _written(lines, header, max_bytes)


def outcome_json(row: Document) -> str:
    """An outcome as JSON text; its result is JSON text already."""
    result = row["result"]
    text = to_json({name: value for name, value in row.items() if name != "result"})
    return f'{text[:-1]},"result":{result if isinstance(result, str) else "null"}}}'


def _written(lines: Iterable[tuple[int, str]], header: bytes, max_bytes: int) -> Download:
    buffer = io.BytesIO()
    buffer.write(header)
    rows, last_index, full = 0, None, False
    for index, line in lines:
        buffer.write(line.encode())
        rows, last_index = rows + 1, index
        if buffer.tell() >= max_bytes:
            full = True
            break
    return Download(buffer.getvalue(), rows, last_index, full)


class _LineWriter:
    """Formats one CSV line at a time."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._csv = csv.writer(self._text)

    def line(self, cells: Sequence[object]) -> str:
        """The cells as a line, with its line ending."""
        self._text.seek(0)
        self._text.truncate()
        self._csv.writerow(cells)
        return self._text.getvalue()


def _cells(row: Document, keys: Sequence[str] | None) -> list[object]:
    result = row["result"]
    return [
        *(_cell(row[name]) for name in TASK_COLUMNS),
        *_result_cells(result if isinstance(result, str) else None, keys),
        *(_cell(row[name]) for name in END_COLUMNS),
    ]


def _result_cells(result: str | None, keys: Sequence[str] | None) -> Iterator[object]:
    if keys is None:
        yield result or ""
        return
    values = json.loads(result) if result else {}
    for key in keys:
        yield _cell(values.get(key) if isinstance(values, dict) else None)


def _cell(value: object) -> object:
    """A value as a spreadsheet takes it: empty for null, text that cannot be a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | dict):
        return to_json(value)
    text = value if isinstance(value, str) else str(plain(value))
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _index(row: Document) -> int:
    index = row["task_index"]
    assert isinstance(index, int)
    return index
