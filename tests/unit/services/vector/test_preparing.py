"""The tables that layers become."""

from __future__ import annotations

from interfaces.vectors import LoadOptions
from services.vector.preparing import kind_tables

Tables = list[tuple[str, str]]


def split(types: dict[str, int], column: str = "Geometry", target: str = "t", **given: object) -> Tables:
    options = LoadOptions.model_validate({"mixed_geometries": "split"} | given)
    return [(one.table, one.geometry_type) for one in kind_tables(target, types, column, options)]


def test_each_kind_of_geometry_has_its_table_also_where_there_is_only_one() -> None:
    types = {"1": 2, "2": 1, "5": 1, "1003": 1, "10": 1, "7": 1, "null": 1}
    assert split(types, "GeometryZ") == [
        ("t_point", "MultiPointZ"),
        ("t_line", "MultiLineStringZ"),
        ("t_polygon", "MultiPolygonZ"),
        ("t_collection", "GeometryCollectionZ"),
        ("t_none", "GeometryZ"),
    ]
    # Of each kind for itself: there are multi lines, and only single points.
    assert split({"1": 2, "2": 1, "5": 1}, promote_to_multi=False) == [
        ("t_point", "Point"),
        ("t_line", "MultiLineString"),
    ]
    assert split({"3": 1}) == [("t_polygon", "MultiPolygon")]


def test_what_has_no_geometry_has_a_table_where_it_is_kept_or_made() -> None:
    assert split({"1": 1, "null": 1}, null_geometries="reject") == [("t_point", "MultiPoint")]
    assert split({"1": 1}, empty_geometries="null")[-1] == ("t_none", "Geometry")
    # Nothing tells kinds apart: one table, as without splitting.
    assert split({"null": 1}) == []
    assert split({"1": 1, "2": 1}, mixed_geometries="geometry") == []


def test_names_of_the_tables_fit() -> None:
    assert split({"3": 1}, target="é" * 31) == [("é" * 27 + "_polygon", "MultiPolygon")]
