"""Where the columns of a load go in a table that is there."""

from __future__ import annotations

from interfaces.layers import Column
from repositories.table_columns import matched


def columns(**names: str) -> list[Column]:
    """By name what the file calls each."""
    return [Column(name=name, type="text", original=original) for name, original in names.items()]


THERE = columns(name="Name", name_2="name")


def test_columns_whose_names_differ_in_case_go_where_the_first_file_had_them() -> None:
    assert matched(columns(name="name", name_2="Name"), THERE, {"name", "name_2"}) == {
        "name": "name_2",
        "name_2": "name",
    }
    assert matched(columns(name="name"), THERE, {"name", "name_2"}) == {"name": "name_2"}


def test_other_columns_go_by_the_names_of_the_table_but_no_two_into_one() -> None:
    assert matched(columns(name="NAME"), THERE, {"name", "name_2"}) == {"name": "name"}
    assert matched(columns(name="NAME", name_2="Name"), THERE, {"name", "name_2"}) == {"name_2": "name"}
    assert matched(columns(a="A", b="b"), [], {"a"}) == {"a": "a"}
    # A column that the first load noted may be gone since.
    assert matched(columns(name="Name"), THERE, {"name_2"}) == {}


def test_the_second_column_of_one_name_stays_the_second() -> None:
    twice = columns(id="id", id_2="id")
    assert matched(twice, twice, {"id", "id_2"}) == {"id": "id", "id_2": "id_2"}
