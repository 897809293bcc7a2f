"""Lines and records of tables of text that are too long to be read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from interfaces.errors import PermanentTaskError
from services.vector import text_records
from services.vector.parts import Part, screened
from services.vector.text_records import rows_at_a_time


def nothing() -> None: ...


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_records, "BLOCK", 7)
    monkeypatch.setattr(text_records, "MAX_LINE", 50)
    monkeypatch.setattr(text_records, "MAX_FEATURE_BYTES", 100)


LINES = "0123456789\n" * 20


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("x" * 40 + "\n" + "x" * 40, None),
        ("x\n" + "x" * 51 + "\nx", "line"),
        ("x" * 51, "line"),
        ("x" * 30 + "\r" + "x" * 30, None),
        (f"a,b\n{LINES}", None),
        (f'a,b\n1,"{LINES}"\n2,c\n', "record"),
        (f'a,b\n1,"{LINES}', "record"),
        (f'"{LINES}"', "record"),
        (f'a\tb\n1\t"{LINES}"\n', "record"),
        (f'a;b\n1,"{LINES}"\n', None),
        (f'a,b\n1,12" pipe\n{LINES}', None),
        (f'a,b\n1,"12"" pipe"\n{LINES}', None),
        (f'a,b\n1,"12"" {LINES}"\n', "record"),
        (f'a,b\n"","c"\n{LINES}', None),
        (f'a,b\n"","{LINES}"\n', "record"),
        (f'a,b\n1,""""\n{LINES}', None),
        (f'a,b\n1,"""{LINES}"\n', "record"),
        ('a,b\n1,"c\nd"\n' * 20, None),
    ],
    ids=range(18),
)
def test_a_line_or_a_record_that_is_too_long_is_refused(
    tmp_path: Path, text: str, refused: str | None
) -> None:
    path = tmp_path / "a.csv"
    for mark in ("", "\ufeff"):
        path.write_text(mark + text)
        if refused is None:
            rows_at_a_time(path, nothing)
        else:
            with pytest.raises(PermanentTaskError, match=f"a {refused} of the table has more than"):
                rows_at_a_time(path, nothing)


def longest(text: str) -> int:
    """Of its records, sign by sign."""
    found = start = place = 0
    open_ = False
    while place < len(text):
        sign = text[place]
        if sign == '"' and not open_:
            open_ = place == 0 or text[place - 1] in ",\n"
        elif sign == '"' and text[place + 1 : place + 2] == '"':
            place += 1
        elif sign == '"':
            open_ = False
        elif sign == "\n" and not open_:
            found, start = max(found, place - start), place + 1
        place += 1
    return max(found, len(text) - start)


def test_records_are_as_long_as_when_they_are_read_sign_by_sign() -> None:
    chance = random.Random(1)
    for _ in range(300):
        text = "a,b\n" + "".join(chance.choices(',\n"x', k=chance.randrange(1, 90)))
        lengths = text_records._Lengths(text.encode())
        for place in range(0, len(text), 7):
            lengths.look(text[place : place + 7].encode())
        # An end is counted with what follows it, or not.
        assert abs(lengths.record - longest(text)) <= 1, text


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [([10] * 9, None), ([10] * 40, 10), ([10] * 20 + [49] * 20, 1), ([10] * 20 + [40] + [10] * 20, 8)],
    ids=range(4),
)
def test_fewer_rows_are_read_together_where_large_ones_follow_one_another(
    tmp_path: Path, lengths: list[int], rows: int | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join("x" * (length - 1) + "\n" for length in lengths))
    found = rows_at_a_time(path, nothing)
    assert found == rows if rows is None else found is not None and abs(found.rows - rows) <= 1


def test_a_table_in_another_encoding_is_looked_at_as_it_will_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'a,b\n1,"{LINES}"\n', "utf-16")
    with pytest.raises(PermanentTaskError, match="a record of the table has more than"):
        screened(Part(path, "CSV", "a"), None, nothing)
