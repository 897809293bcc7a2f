"""What parameters of vector_to_postgis make of a file, from submission to the tables."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import pytest
import shapely

from .conftest import Depot

MIXED = (
    'id,wkt\n1,POINT (1 2)\n2,"LINESTRING (0 0, 1 1)"\n3,"POLYGON ((0 0, 1 0, 1 1, 0 0))"\n'
    '4,"MULTIPOINT ((3 4), (5 6))"\n5,\n6,"POLYGON ((0 0, 1 95, 1 1, 0 0))"\n'
)


def test_a_layer_of_several_kinds_is_split_into_tables_whose_counts_add_up(depot: Depot) -> None:
    depot.put("mixed.csv", MIXED)
    result = depot.load(blob="mixed.csv", assume_crs="EPSG:4326", mixed_geometries="split")
    assert (result["read"], result["loaded"], result["rejected"]) == (6, 5, 1)
    assert [(table["table"], table["loaded"], table["geometry_type"]) for table in result["tables"]] == [
        ("features.mixed_line", 1, "MultiLineString"),
        ("features.mixed_none", 1, "Geometry"),
        ("features.mixed_point", 2, "MultiPoint"),
        ("features.mixed_polygon", 1, "MultiPolygon"),
    ]
    assert [(row["fid"], row["id"], row["wkt"]) for row in depot.rows("mixed_point")] == [
        (1, 1, "SRID=4326;MULTIPOINT(1 2)"),
        (4, 4, "SRID=4326;MULTIPOINT(3 4,5 6)"),
    ]
    layers = depot.world.rows("SELECT target_table, row_count FROM geo.layers ORDER BY 1")
    assert [(row["target_table"], row["row_count"]) for row in layers] == [
        ("mixed_line", 1),
        ("mixed_none", 1),
        ("mixed_point", 2),
        ("mixed_polygon", 1),
    ]
    assert depot.world.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'geo_staging'") == []
    depot.put("more.csv", "id,wkt\n7,POINT (7 7)\n")
    depot.load(
        blob="more.csv",
        assume_crs="EPSG:4326",
        mixed_geometries="split",
        target_table="mixed",
        if_exists="append",
    )
    # All of the first load were six.
    assert [row["fid"] for row in depot.rows("mixed_point")] == [1, 4, 7]
    reason = depot.refusal(blob="mixed.csv", assume_crs="EPSG:4326", mixed_geometries="split", repair="drop")
    assert reason == "table features.mixed_point exists, and if_exists is fail"


def test_a_feature_of_a_split_layer_is_in_one_table_whatever_kind_it_was_of(depot: Depot) -> None:
    asked = {"assume_crs": "EPSG:4326", "mixed_geometries": "split", "target_table": "m"}
    upsert = {**asked, "if_exists": "upsert", "key_columns": ["id"]}

    def ids() -> dict[str, list[int]]:
        rows = depot.world.rows("SELECT target_table, row_count FROM geo.layers ORDER BY 1")
        there = {
            row["target_table"]: sorted(one["id"] for one in depot.rows(row["target_table"])) for row in rows
        }
        assert [len(there[row["target_table"]]) for row in rows] == [row["row_count"] for row in rows]
        return there

    depot.put("a.csv", 'id,wkt\n1,POINT (1 1)\n2,"LINESTRING (0 0, 1 1)"\n3,\n4,POINT (4 4)\n')
    depot.load(blob="a.csv", **upsert)
    assert ids() == {"m_line": [2], "m_none": [3], "m_point": [1, 4]}
    depot.put("b.csv", "id,wkt\n2,POINT (2 2)\n3,POINT (3 3)\n4,\n")
    depot.load(blob="b.csv", **upsert)
    assert ids() == {"m_line": [], "m_none": [4], "m_point": [1, 2, 3]}
    # Another layer's, whatever it is called.
    depot.put("m_collection.csv", "id,wkt\n9,POINT (9 9)\n")
    depot.load(blob="m_collection.csv", assume_crs="EPSG:4326")
    depot.put("c.csv", 'id,wkt\n5,"LINESTRING (0 0, 1 1)"\n')
    depot.load(blob="c.csv", if_exists="replace", **asked)
    assert ids() == {"m_collection": [9], "m_line": [5], "m_none": [], "m_point": []}


def test_a_table_is_loaded_also_where_there_is_no_catalog_for_its_item(depot: Depot) -> None:
    depot.put("a.csv", "lon,lat\n1,2\n")
    result = depot.load(blob="a.csv", collection_id="tables")
    assert (result["loaded"], result["registered"], result["catalog"]) == (1, 0, "not_set_up")


def circle(x: float) -> str:
    """A polygon of 128 edges, as WKT."""
    return str(shapely.Point(x, 0).buffer(1, quad_segs=32).wkt)


def pieces(depot: Depot) -> list[dict[str, Any]]:
    return depot.world.rows(
        "SELECT id, count(*) AS pieces, max(ST_NPoints(geom)) AS most,"
        " round(sum(ST_Area(geom))::numeric, 6) AS area FROM features.c_parts GROUP BY id ORDER BY id"
    )


def test_large_geometries_are_in_pieces_in_a_view_that_follows_the_table(depot: Depot) -> None:
    asked = {"assume_crs": "EPSG:4326", "target_table": "c", "key_columns": ["id"], "if_exists": "upsert"}
    depot.put("a.csv", f'id,wkt\n1,"{circle(0)}"\n2,"{circle(5)}"\n3,\n')
    result = depot.load(blob="a.csv", subdivide=16, **asked)
    [table] = result["tables"]
    assert (table["loaded"], table["rows"]) == (3, 3)
    assert table["parts"]["view"] == "c_parts"
    assert table["parts"]["max_vertices"] == 16
    found = pieces(depot)
    assert sum(row["pieces"] for row in found) == table["parts"]["rows"]
    assert [row["id"] for row in found] == [1, 2]
    assert all(row["pieces"] > 8 and row["most"] <= 16 for row in found)
    assert [float(row["area"]) for row in found] == [round(shapely.from_wkt(circle(0)).area, 6)] * 2
    [column] = depot.world.rows("SELECT type, srid FROM geometry_columns WHERE f_table_name = 'c_parts'")
    assert column == {"type": "POLYGON", "srid": 4326}
    indexes = depot.world.rows("SELECT indexdef FROM pg_indexes WHERE tablename = 'c_parts'")
    assert sorted(row["indexdef"].partition("USING ")[2] for row in indexes) == [
        "btree (id, part)",
        "gist (geom)",
    ]
    depot.put("b.csv", f'id,wkt\n2,"POLYGON ((0 0, 1 0, 1 1, 0 0))"\n4,"{circle(9)}"\n')
    depot.load(blob="b.csv", **asked)
    assert [(row["id"], row["pieces"] > 1) for row in pieces(depot)] == [(1, True), (2, False), (4, True)]
    # Added to by somebody who knows neither its key nor its view, and asks for smaller pieces.
    depot.put("c.csv", f'id,wkt\n5,"{circle(9)}"\n')
    added = {**asked, "if_exists": "append", "key_columns": []}
    before = pieces(depot)
    depot.load(blob="c.csv", subdivide=8, **added)
    assert pieces(depot)[0]["pieces"] > before[0]["pieces"]
    assert [row["id"] for row in pieces(depot)] == [1, 2, 4, 5]
    depot.world.rows("GRANT ALL ON features.c TO PUBLIC", fetch=False)
    depot.load(blob="b.csv", subdivide=64, **{**added, "if_exists": "replace"})
    granted = depot.world.rows("SELECT has_table_privilege('public', 'features.c_parts', 'SELECT') AS may")
    assert granted == [{"may": True}]
    depot.load(blob="b.csv", **{**added, "if_exists": "replace"})
    assert depot.world.rows("SELECT to_regclass('features.c_parts') AS there") == [{"there": None}]
    assert depot.world.rows("SELECT parts FROM geo.layers") == [{"parts": None}]


def test_a_name_that_is_taken_is_not_taken_away(depot: Depot) -> None:
    depot.put("a.csv", f'id,wkt\n1,"{circle(0)}"\n')
    depot.world.rows("CREATE SCHEMA features; CREATE TABLE features.a_parts (n integer)", fetch=False)
    reason = depot.refusal(blob="a.csv", assume_crs="EPSG:4326", subdivide=16)
    assert reason == 'PostgreSQL refuses the table: relation "a_parts" already exists'


def test_columns_become_of_the_types_that_are_asked_for_or_the_feature_is_rejected(depot: Depot) -> None:
    depot.put(
        "a.csv",
        "lon,lat,Code,big,when,id,flag,n\n"
        "1,2,1.10,123456789012345678901.5,2024-05-01T12:00:00+02:00,6f9619ff8b86d011b42d00c04fc964ff,y,1\n"
        "1,2,+49,1,2024-05-01,6f9619ff8b86d011b42d00c04fc964fe,n,2\n"
        "1,2,,,,,,3\n"
        "1,2,x,,,no uuid,,4\n",
    )
    types = {"Code": "text", "big": "numeric", "when": "timestamptz", "id": "uuid", "flag": "boolean"}
    result = depot.load(blob="a.csv", column_types=types)
    assert (result["read"], result["loaded"], result["rejected"]) == (4, 3, 1)
    rows = depot.rows("a")
    assert [row["code"] for row in rows] == ["1.10", "+49", None]
    assert [str(row["big"]) for row in rows] == ["123456789012345678901.5", "1", "None"]
    times = [row["when_"].astimezone(UTC).isoformat() for row in rows[:2]]
    assert times == ["2024-05-01T10:00:00+00:00", "2024-05-01T00:00:00+00:00"]
    assert [row["flag"] for row in rows] == [True, False, None]
    assert [row["n"] for row in rows] == [1, 2, 3]
    [rejected] = depot.world.rows("SELECT reason FROM geo.rejected_features")
    assert rejected["reason"] == "column 'id': 'no uuid' does not fit into uuid"
    again = {"blob": "a.csv", "target_table": "b", "column_types": types}
    reason = depot.refusal(**again, column_type_errors="fail")
    assert reason == "column_types: column 'id': 'no uuid' does not fit into uuid"
    reason = depot.refusal(blob="a.csv", target_table="b", column_types={"m": "text"})
    assert reason.startswith("column_types: there is no column 'm' in lon, lat, Code")


def test_numbers_of_more_than_64_bits_are_not_cut_in_silence(depot: Depot) -> None:
    depot.put("b.csv", "lon,lat,big\n1,2,5\n1,2,9223372036854775807\n")
    assert depot.load(blob="b.csv")["rejected"] == 0
    depot.put("a.csv", "lon,lat,big\n1,2,5\n1,2,123456789012345678901\n")
    result = depot.load(blob="a.csv")
    assert (result["loaded"], result["rejected"]) == (1, 1)
    [rejected] = depot.world.rows("SELECT reason FROM geo.rejected_features")
    assert rejected["reason"] == "column 'big': '123456789012345678901' does not fit into bigint"


def test_sheets_of_a_workbook_become_tables(depot: Depot, tmp_path: Path) -> None:
    path = tmp_path / "made.xlsx"
    places = pyarrow.table({"lon": ["11", "east"], "lat": [48.0, 48.0], "day": [date(2024, 5, 1), None]})
    pyogrio.write_arrow(places, path, driver="XLSX", layer="Places")
    remarks = pyarrow.table({"remark": ["none"]})
    pyogrio.write_arrow(remarks, path, driver="XLSX", layer="Remarks", append=True)
    depot.put("in/book.xlsx", path.read_bytes())
    result = depot.load(blob="in/book.xlsx")
    assert (result["read"], result["loaded"], result["rejected"]) == (2, 1, 1)
    [row] = depot.rows("book")
    assert (row["day"], row["wkt"]) == (date(2024, 5, 1), "SRID=4326;MULTIPOINT(11 48)")
    [rejected] = depot.world.rows("SELECT feature_id, reason FROM geo.rejected_features")
    assert rejected == {"feature_id": "3", "reason": "column 'lon': 'east' does not fit into double"}
    listed = depot.run(prefix="in/")
    assert [task["result"]["matched"] for task in depot.world.tasks(listed["job_id"], 1)] == [0]
    depot.put("old.xls", b"x")
    assert depot.refusal(blob="old.xls").startswith("the binary format of Excel is not read")


@pytest.mark.parametrize(("encoding", "asked"), [("utf-16", None), ("cp1250", "cp1250")])
def test_a_csv_is_read_in_the_encoding_that_it_is_marked_with_or_that_is_asked_for(
    depot: Depot, encoding: str, asked: str | None
) -> None:
    depot.put("a.csv", "lon;lat;jméno\n14;50;Říčany\n".encode(encoding))
    depot.load(blob="a.csv", encoding=asked)
    assert [row["jmeno"] for row in depot.rows("a")] == ["Říčany"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("c.csv", "lon;lat;jméno\n14;50;Říčany\n".encode(encoding))
    depot.put("c.zip", packed.getvalue())
    assert depot.load(blob="c.zip", encoding=asked)["loaded"] == 1
    depot.put("b.csv", "lon;lat;jméno\n14;50;Říčany\n".encode("cp1250"))
    assert depot.refusal(blob="b.csv").startswith("encoding: the text is not UTF-8 (byte 0xe9 near 10)")
