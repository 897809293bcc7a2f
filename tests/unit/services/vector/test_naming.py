"""Names that any text becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.naming import distinct, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Größe & Co", "große_co"),
        ("Población", "poblacion"),
        ("select", "select_"),
        ("ctid", "ctid_"),
        ("2nd Try", "_2nd_try"),
        ("نام", "نام"),
        ("--; DROP", "drop"),
        ("", "column_1"),
        ("%$", "column_1"),
    ],
)
def test_a_name_says_what_the_text_said(text: str, name: str) -> None:
    assert safe_name(text, "column_1") == name


def test_names_that_would_be_the_same_are_numbered() -> None:
    assert distinct(["A", "a", "a ", "geom"], ["geom"]) == ["a", "a_2", "a_3", "geom_2"]


def test_names_that_differ_only_beyond_63_bytes_are_numbered_within_them() -> None:
    names = distinct(["x" * 70 + "a", "x" * 70 + "b", "é漢" * 40, "é漢" * 41])
    assert len(set(names)) == 4
    assert names[1] == "x" * 61 + "_2"


@given(st.lists(st.text(max_size=100), max_size=30))
def test_names_are_always_distinct_and_fit(texts: list[str]) -> None:
    names = distinct(texts, {"geom", "fid"})
    assert len(set(names)) == len(texts)
    for name in names:
        assert 1 <= len(name.encode()) <= 63
        assert name.replace("_", "a").isalnum()
        assert not name[0].isdigit()
        assert name not in ("geom", "fid", "_chunk")
