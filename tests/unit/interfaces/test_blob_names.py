"""Names that jobs write under lead nowhere else, whoever reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.blob_names import why_unfit

HOSTILE = {
    "parent": "a/../b.tif",
    "parent first": "../b.tif",
    "itself": "a/./b.tif",
    "absolute": "/etc/passwd.tif",
    "absolute for Windows": "\\\\server\\share.tif",
    "backslashes": "a\\..\\b.tif",
    "empty part": "a//b.tif",
    "folder": "a/",
    "control character": "a\x01.tif",
    "line break": "a\r\nx-ms-meta: b.tif",
    "NUL": "a\x00.tif",
    "DEL": "a\x7f.tif",
    "C1 control": "a\x85.tif",
    "line separator": "a\u2028.tif",
    "shown from right to left": "a\u202efit.tif",
    "isolate": "a\u2066b\u2069.tif",
    "lone surrogate": "a\ud800.tif",
    "noncharacter": "a\uffff.tif",
    "other noncharacter": "a\ufdd0.tif",
    "encoded dots": "a/%2e%2e/b.tif",
    "encoded separators": "a/..%2fb.tif",
    "encoded backslash": "..%5cb.tif",
    "encoded twice": "a/%252e%252e/b.tif",
    "encoded without end": "a/%25252525252e.tif",
    "full-width dots": "a/\uff0e\uff0e/b.tif",
    "dot leader": "a/\u2025/b.tif",
    "one dot leader twice": "a/\u2024\u2024/b.tif",
    "full-width slash": "a/..\uff0fb.tif",
    "spaces around dots": "a/.. /b.tif",
    "too long": "a" * 1025,
    "too many parts": "/".join("a" * 255),
    "nothing": "",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_name_that_means_something_else_to_somebody_is_refused(name: str) -> None:
    assert why_unfit(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.tif",
        "a/b/c.tif",
        "a./..c.d.tif",
        "...tif",
        "100%.tif",
        "a%20b.tif",
        "a b, c.tif",
        "Übersicht München.tif",
        "東京／渋谷.tif",
        "مدينة\u200f.tif",
        "e\u0301te\u0301.tif",
        "a" * 1024,
    ],
)
def test_an_ordinary_name_is_fit_in_any_language(name: str) -> None:
    assert why_unfit(name) is None


@given(st.text(max_size=60))
def test_no_fit_name_has_a_part_of_dots_or_a_control_character(name: str) -> None:
    if why_unfit(name) is None:
        assert not {".", "..", ""} & set(name.split("/"))
        assert name.isprintable() or all(ord(character) > 31 for character in name)
        name.encode()
