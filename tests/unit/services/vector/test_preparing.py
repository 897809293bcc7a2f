"""The tables that layers become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from interfaces.errors import PermanentTaskError
from interfaces.layers import Attribute, Chunk, LayerFound, SourceFile
from interfaces.vectors import LoadOptions
from services.vector.preparing import flat, kind_tables, planned

from .loads import found_in, written

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


@pytest.mark.parametrize(
    ("crs", "made"),
    [
        ("EPSG:4979", "EPSG:4326"),
        ("EPSG:7415", "EPSG:28992"),
        ("EPSG:25832", "EPSG:25832"),
        ("OGC:CRS84h", "OGC:CRS84h"),
    ],
)
def test_a_crs_without_heights_is_that_of_its_two_dimensions(crs: str, made: str) -> None:
    assert flat(crs) == made


def test_geometries_without_their_z_have_no_crs_of_heights(tmp_path: Path) -> None:
    path, place = tmp_path / "a.geojson", [11.123456789012345, 48.1, 500]
    shape = {"type": "Point", "coordinates": place}
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shape}))
    found = found_in(path)
    assert planned("a", [found], LoadOptions()).srid == 4979
    plan = planned("a", [found], LoadOptions(dimensions="xy"))
    assert (plan.srid, plan.geometry_type) == (4326, "MultiPoint")
    assert plan.notes == ["a.geojson: without Z its CRS EPSG:4979 becomes EPSG:4326"]
    [geometry] = written(path, dimensions="xy").column("geom")
    # To the last digit, which a transformation would change.
    assert shapely.get_coordinates(shapely.from_wkb(geometry)).tolist() == [place[:2]]
    assert planned("a", [found], LoadOptions(dimensions="xy", target_crs="EPSG:4979")).srid == 4979


def test_names_of_the_tables_fit() -> None:
    [(name, _)] = split({"3": 1}, target="é" * 31)
    assert name.startswith("é" * 23 + "_")
    assert name.endswith("_polygon")
    assert len(name.encode()) == 63
    assert split({"3": 1}, target="é" * 27) == [("é" * 27 + "_polygon", "MultiPolygon")]


def test_names_of_tables_that_differ_only_at_their_end_differ_with_a_kind_too() -> None:
    [one, other] = [split({"3": 1}, target="t" * 60 + end)[0][0] for end in ("one", "two")]
    assert one != other
    assert one.endswith("_polygon")
    assert len(one) <= 63


def layer(*names: str) -> LayerFound:
    return LayerFound(
        source=SourceFile(container="bronze", name="a.geojson", etag="1", size=1),
        layer="a",
        driver="GeoJSON",
        crs="EPSG:4326",
        fields=[Attribute(name=name, type="text") for name in names],
        geometry_types={"1": 1},
        features=1,
        batch_features=1,
        encoding=None,
        null_is_lost=False,
        chunks=[Chunk(features=1)],
        notes=[],
    )


def test_a_column_is_the_one_that_the_file_calls_so_before_one_that_the_table_does() -> None:
    # Of the table "Name" is name, and "name" is name_2.
    plan = planned("t", [layer("Name", "name")], LoadOptions(if_exists="upsert", key_columns=["name"]))
    assert plan.key == ["name_2"]
    plan = planned("t", [layer("Name", "name")], LoadOptions(column_types={"name": "integer"}))
    assert [(column.original, column.type) for column in plan.columns] == [
        ("Name", "text"),
        ("name", "integer"),
    ]
    plan = planned("t", [layer("Name")], LoadOptions(primary_key="name"))
    assert plan.key == ["name"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            {"if_exists": "upsert", "key_columns": ["Name", "name"]},
            "key_columns: names a column twice: Name, name",
        ),
        (
            {"column_types": {"Name": "integer", "name": "bigint"}},
            "column_types: 'name' is a column that has",
        ),
    ],
)
def test_a_column_that_is_asked_for_twice_by_two_names_is_refused(given: Any, reason: str) -> None:
    with pytest.raises(PermanentTaskError, match=reason):
        planned("t", [layer("Name")], LoadOptions(**given))
