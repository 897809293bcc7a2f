"""vector_to_postgis on a real database and a real blob service, from submission to the table."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import InvalidParameters

from .conftest import Depot

BOWTIE = [[[0, 0], [2, 2], [0, 2], [2, 0], [0, 0]]]
SQUARE = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
MakeFile = Callable[..., bytes]


def geojson(*features: tuple[Any, dict[str, Any]]) -> str:
    """A FeatureCollection of geometries and their properties."""
    made = [{"type": "Feature", "geometry": shape, "properties": values} for shape, values in features]
    return json.dumps({"type": "FeatureCollection", "features": made})


def point(x: float, y: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def polygon(rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": rings}


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Files of numbered points, in any format that GDAL writes."""

    def make(extension: str, driver: str, count: int, **options: str) -> bytes:
        table = pyarrow.table(
            {
                "number": pyarrow.array(range(count)),
                "geometry": pyarrow.array(
                    list(shapely.to_wkb(shapely.points(numpy.arange(count) % 100, numpy.arange(count) % 80)))
                ),
            }
        )
        path = tmp_path / f"made.{extension}"
        pyogrio.write_arrow(
            table,
            path,
            driver=driver,
            geometry_name="geometry",
            geometry_type="Point",
            crs="EPSG:4326",
            **options,
        )
        return path.read_bytes()

    return make


def test_a_layer_becomes_a_table_with_keys_index_types_and_a_row_in_the_catalog(depot: Depot) -> None:
    depot.put(
        "in/Größe & Co.geojson",
        geojson(
            (
                polygon(SQUARE),
                {"Name": "one", "big": 2**40, "flag": True, "tags": ["a"], "when": "2024-05-01"},
            ),
            (None, {"Name": None, "big": 1, "flag": None, "tags": None, "when": None}),
        ),
    )
    result = depot.load(blob="in/Größe & Co.geojson")
    assert (result["read"], result["loaded"], result["rejected"]) == (2, 2, 0)
    first, second = depot.rows("große_co")
    assert first["wkt"] == "SRID=4326;MULTIPOLYGON(((0 0,1 0,1 1,0 1,0 0)))"
    assert (first["fid"], first["name"], first["big"], first["flag"], first["tags"]) == (
        1,
        "one",
        2**40,
        True,
        ["a"],
    )
    assert str(first["when_"]) == "2024-05-01"
    assert (second["name"], second["wkt"]) == (None, None)
    table = result["tables"][0]["table"]
    assert table == "features.große_co"
    indexes = depot.world.rows("SELECT indexdef FROM pg_indexes WHERE schemaname = 'features'")
    assert sorted(row["indexdef"].partition("USING ")[2] for row in indexes) == ["btree (fid)", "gist (geom)"]
    [layer] = depot.world.rows("SELECT * FROM geo.layers")
    assert (layer["row_count"], layer["extent"], layer["title"]) == (2, [0, 0, 1, 1], "Größe & Co")
    assert (layer["srid"], layer["geometry_type"], layer["key"]) == (4326, "MultiPolygon", ["fid"])
    [load] = depot.world.rows("SELECT * FROM geo.layer_loads")
    assert load["sources"][0]["name"] == "in/Größe & Co.geojson"
    [comment] = depot.world.rows(
        "SELECT col_description('features.große_co'::regclass, attnum) AS said FROM pg_attribute"
        " WHERE attrelid = 'features.große_co'::regclass AND attname = 'name'"
    )
    assert comment["said"] == "Name"
    assert depot.world.rows("SELECT * FROM geo.staging_tables") == []
    assert depot.world.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'geo_staging'") == []
    assert depot.world.violations() == {}


@pytest.mark.parametrize(("extension", "driver"), [("gpkg", "GPKG"), ("fgb", "FlatGeobuf")])
def test_chunks_of_a_large_layer_are_each_loaded_once(
    depot: Depot, make_file: MakeFile, extension: str, driver: str
) -> None:
    depot.put(f"a.{extension}", make_file(extension, driver, 2500))
    job = depot.run(blob=f"a.{extension}", chunk_features=1000)
    assert job["status"] == "completed", job["result"]
    assert len(depot.world.tasks(job["job_id"], 4)) == 3
    numbers = depot.world.rows("SELECT number FROM features.a ORDER BY number")
    assert [row["number"] for row in numbers] == list(range(2500))


def test_chunks_of_a_geopackage_are_told_by_its_own_key_whatever_that_is_called(
    depot: Depot, make_file: MakeFile
) -> None:
    depot.put("a.gpkg", make_file("gpkg", "GPKG", 2500, FID='the "key"'))
    assert depot.load(blob="a.gpkg", chunk_features=1000)["loaded"] == 2500


def test_what_cannot_be_loaded_is_in_the_table_of_rejected_features_with_its_reason(depot: Depot) -> None:
    depot.put(
        "a.geojson",
        geojson(
            (polygon(BOWTIE), {"n": 1}),
            (polygon([[[0, 0], [1, 1], [0, 0], [0, 0]]]), {"n": 2}),
            (polygon([[[0, 100], [1, 100], [1, 101], [0, 100]]]), {"n": 3}),
            (polygon(SQUARE), {"n": 4}),
        ),
    )
    result = depot.load(blob="a.geojson")
    assert (result["read"], result["loaded"], result["rejected"], result["repaired"]) == (4, 2, 2, 1)
    rejected = depot.world.rows("SELECT * FROM geo.rejected_features ORDER BY feature_id")
    assert [row["feature_id"] for row in rejected] == ["1", "2"]
    assert rejected[0]["reason"].startswith("is not valid, and nothing is left when it is mended")
    assert rejected[1]["reason"].startswith("is not on Earth: its coordinates go from 0 100 to 1 101")
    assert shapely.from_wkb(rejected[1]["geometry"]).geom_type == "Polygon"
    mended = depot.world.rows(
        "SELECT ST_IsValid(geom) AS valid, ST_Area(geom) AS area FROM features.a WHERE n = 1"
    )
    assert mended == [{"valid": True, "area": 2.0}]


@pytest.mark.parametrize(("repair", "loaded"), [("off", 2), ("drop", 1), ("make_valid", 2)])
def test_geometries_that_are_not_valid_are_kept_rejected_or_mended(
    depot: Depot, repair: str, loaded: int
) -> None:
    depot.put("a.geojson", geojson((polygon(BOWTIE), {}), (polygon(SQUARE), {})))
    result = depot.load(blob="a.geojson", repair=repair)
    assert (result["loaded"], result["rejected"]) == (loaded, 2 - loaded)
    [valid] = depot.world.rows("SELECT bool_and(ST_IsValid(geom)) AS all FROM features.a")
    assert valid["all"] == (repair != "off")


def test_null_and_empty_geometries_go_by_policy(depot: Depot) -> None:
    empty = {"type": "MultiPoint", "coordinates": []}
    depot.put("a.geojson", geojson((None, {}), (empty, {}), (point(1, 2), {})))
    kept = depot.load(blob="a.geojson")
    assert (kept["loaded"], kept["null_geometries"], kept["empty_geometries"]) == (3, 1, 1)
    wkts = [None, "SRID=4326;MULTIPOINT EMPTY", "SRID=4326;MULTIPOINT(1 2)"]
    assert [row["wkt"] for row in depot.rows("a")] == wkts
    strict = depot.load(
        blob="a.geojson", target_table="b", null_geometries="reject", empty_geometries="reject"
    )
    assert (strict["loaded"], strict["rejected"]) == (1, 2)


def test_a_table_that_is_there_is_left_alone_unless_asked(depot: Depot) -> None:
    depot.put("a.geojson", geojson((point(1, 2), {"n": 1})))
    depot.load(blob="a.geojson")
    assert depot.refusal(blob="a.geojson", repair="off") == "table features.a exists, and if_exists is fail"


def test_a_replaced_table_keeps_its_grants(depot: Depot) -> None:
    depot.put("a.geojson", geojson((point(1, 2), {"n": 1})))
    depot.load(blob="a.geojson")
    depot.world.rows("GRANT SELECT ON features.a TO PUBLIC", fetch=False)
    depot.put("b/a.geojson", geojson((point(3, 4), {"m": "x"})))
    result = depot.load(blob="b/a.geojson", if_exists="replace")
    assert result["tables"][0]["replaced"] is True
    [row] = depot.rows("a")
    assert (row["m"], row["wkt"]) == ("x", "SRID=4326;MULTIPOINT(3 4)")
    granted = depot.world.rows("SELECT has_table_privilege('public', 'features.a', 'SELECT') AS may")
    assert granted == [{"may": True}]


def test_a_table_on_which_a_view_depends_is_not_replaced(depot: Depot) -> None:
    depot.put("a.geojson", geojson((point(1, 2), {"n": 1})))
    depot.load(blob="a.geojson")
    depot.world.rows("CREATE VIEW features.v AS SELECT n FROM features.a", fetch=False)
    reason = depot.refusal(blob="a.geojson", if_exists="replace")
    assert "view features.v depends on table features.a" in reason
    assert len(depot.rows("a")) == 1


def test_rows_are_appended_and_never_twice(depot: Depot) -> None:
    depot.put("a.geojson", geojson((point(1, 2), {"n": 1})))
    depot.put("b.geojson", geojson((point(3, 4), {"n": 2}), (point(5, 6), {"n": 3})))
    depot.load(blob="a.geojson", target_table="all of it")
    result = depot.load(blob="b.geojson", target_table="all of it", if_exists="append")
    assert (result["loaded"], result["tables"][0]["rows"]) == (2, 3)
    assert [(row["fid"], row["n"]) for row in depot.rows("all_of_it")] == [(1, 1), (2, 2), (3, 3)]
    [layer] = depot.world.rows("SELECT * FROM geo.layers")
    assert (layer["row_count"], layer["extent"]) == (3, [1, 2, 5, 6])
    depot.put("c.geojson", geojson((point(3, 4), {"other": 2})))
    reason = depot.refusal(blob="c.geojson", target_table="all of it", if_exists="append")
    assert "has no column 'other'" in reason


def test_upsert_replaces_rows_with_the_same_key(depot: Depot) -> None:
    depot.put("a.geojson", geojson((point(1, 2), {"Id": 1, "v": "a"}), (point(3, 4), {"Id": 2, "v": "b"})))
    depot.put("b.geojson", geojson((point(5, 6), {"Id": 2, "v": "c"}), (point(7, 8), {"Id": 3, "v": "d"})))
    asked = {"target_table": "t", "if_exists": "upsert", "key_columns": ["Id"]}
    depot.load(blob="a.geojson", **asked)
    depot.load(blob="b.geojson", **asked)
    assert [
        (row["id"], row["v"]) for row in depot.world.rows("SELECT id, v FROM features.t ORDER BY id")
    ] == [
        (1, "a"),
        (2, "c"),
        (3, "d"),
    ]
    depot.put("c.geojson", geojson((point(5, 6), {"Id": 9, "v": "c"}), (point(7, 8), {"Id": 9, "v": "d"})))
    assert depot.refusal(blob="c.geojson", **asked) == "key id: several features have '9'"


def test_geometries_are_transformed_x_first_whatever_the_crs_says(depot: Depot) -> None:
    gml = (
        '<c:FeatureCollection xmlns:c="http://www.opengis.net/wfs" xmlns:gml="http://www.opengis.net/gml">'
        '<gml:featureMember><c:place gml:id="p"><c:at><gml:Point srsName="urn:ogc:def:crs:EPSG::4326">'
        "<gml:pos>48 11</gml:pos></gml:Point></c:at></c:place></gml:featureMember></c:FeatureCollection>"
    )
    depot.put("a.gml", gml)
    depot.load(blob="a.gml", promote_to_multi=False)
    assert depot.rows("a")[0]["wkt"] == "SRID=4326;POINT(11 48)"
    depot.load(blob="a.gml", target_crs="EPSG:32632", target_table="utm")
    [row] = depot.world.rows(
        "SELECT ST_X(g) AS x, ST_Y(g) AS y FROM (SELECT (ST_Dump(geom)).geom AS g FROM features.utm) d"
    )
    # EPSG:32632 is x east, y north, in metres; 11° E is two degrees east of its middle.
    assert (row["x"], row["y"]) == (pytest.approx(649_000, abs=500), pytest.approx(5_318_000, abs=1000))


def test_only_what_is_asked_for_is_loaded(depot: Depot) -> None:
    depot.put("a.geojson", geojson(*[(point(n, n), {"n": n, "other": "x"}) for n in range(10)]))
    result = depot.load(blob="a.geojson", where="n > 6", columns=["n"], target_table="w")
    assert result["read"] == result["loaded"] == 3
    assert set(depot.rows("w")[0]) == {"fid", "geom", "n", "wkt"}
    assert depot.load(blob="a.geojson", bbox=[2, 2, 4, 4], target_table="b")["loaded"] == 3
    shape = "POLYGON ((-1 -1, 6 -1, 6 1.5, -1 1.5, -1 -1))"
    assert depot.load(blob="a.geojson", polygon=shape, target_table="p")["loaded"] == 2


def test_no_name_is_taken_for_sql(depot: Depot) -> None:
    nasty = 'x"; DROP TABLE app.jobs; --'
    depot.put(
        "a.geojson",
        geojson((point(1, 2), {nasty: 1, "select": 2, "Select": 3, "geom": 4, "fid": 5, "%s": 6})),
    )
    depot.load(blob="a.geojson", target_table=nasty)
    [row] = depot.rows("x_drop_table_app_jobs")
    assert {name: row[name] for name in ("select_", "select__2", "geom_2", "fid_2")} == {
        "select_": 2,
        "select__2": 3,
        "geom_2": 4,
        "fid_2": 5,
    }
    assert (row["x_drop_table_app_jobs"], row["s"]) == (1, 6)


def test_several_files_become_one_table_whose_columns_hold_all_of_them(depot: Depot) -> None:
    depot.put("in/a.geojson", geojson((point(1, 2), {"n": 1, "only_a": "x"})))
    depot.put("in/b.geojson", geojson((point(3, 4), {"n": "text"})))
    depot.put("in/readme.txt", "not a vector file")
    result = depot.load(prefix="in/", target_table="together")
    assert result["loaded"] == 2
    assert sorted((row["n"], row["only_a"]) for row in depot.rows("together")) == [("1", "x"), ("text", None)]


def test_a_zip_of_a_shapefile_is_loaded_and_one_that_leads_out_is_refused(
    depot: Depot, tmp_path: Path, make_file: MakeFile
) -> None:
    make_file("shp", "ESRI Shapefile", 3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in tmp_path.glob("made.*"):
            archive.write(path, f"folder/{path.name.upper()}")
    depot.put("a.zip", packed.getvalue())
    assert depot.load(blob="a.zip")["loaded"] == 3
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../a.geojson", "{}")
    depot.put("b.zip", packed.getvalue())
    assert "leads out of its folder" in depot.refusal(blob="b.zip")


def test_a_file_geodatabase_is_the_folder_that_its_files_are_in(depot: Depot, corpus: Path) -> None:
    with zipfile.ZipFile(corpus / "vector/Toblerity+Fiona/testopenfilegdb.gdb.zip") as archive:
        for member in archive.infolist():
            if not member.is_dir():
                depot.put(f"in/a.gdb/{member.filename.rpartition('/')[2]}", archive.read(member))
    result = depot.load(blob="in/a.gdb", layers=["point", "linestringzm"])
    assert sorted(table["table"] for table in result["tables"]) == ["features.linestringzm", "features.point"]
    job = depot.run(prefix="in/", layers=["point"], if_exists="replace")
    assert [task["result"]["matched"] for task in depot.world.tasks(job["job_id"], 1)] == [1]
    assert job["status"] == "completed", job["result"]


@pytest.mark.parametrize(("degrees", "points"), [(30, 7), (1, 181)])
def test_curves_become_lines_that_turn_as_much_as_is_asked(depot: Depot, degrees: float, points: int) -> None:
    depot.put("a.csv", 'wkt\n"CIRCULARSTRING (0 0, 1 1, 2 0)"\n')
    result = depot.load(blob="a.csv", assume_crs="EPSG:4326", curve_step_degrees=degrees)
    assert result["linearised"] == 1
    assert depot.world.rows("SELECT ST_NPoints(geom) AS n FROM features.a") == [{"n": points}]


def test_a_file_that_refers_to_another_is_refused_whatever_its_name(depot: Depot) -> None:
    depot.put("a.gpkg", "<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>/etc/passwd</SrcDataSource>")
    assert "references to other files are not followed" in depot.refusal(blob="a.gpkg")


def test_a_layer_without_a_crs_needs_one_to_be_assumed(depot: Depot) -> None:
    depot.put("a.csv", "id,wkt\n1,POINT(500000 5600000)\n")
    assert depot.refusal(blob="a.csv") == "layer 'a' names no CRS: give assume_crs"
    assert depot.load(blob="a.csv", assume_crs="EPSG:25832")["tables"][0]["srid"] == 25832


def test_text_that_is_no_geometry_is_rejected_and_not_taken_for_null(depot: Depot) -> None:
    depot.put("a.csv", "id,lon,lat\n1,11,48\n2,east,48\n3,,\n")
    result = depot.load(blob="a.csv")
    assert (result["loaded"], result["rejected"], result["null_geometries"]) == (2, 1, 1)
    depot.put("b.csv", "id,wkt\n1,POINT (a b)\n")
    depot.load(blob="b.csv", assume_crs="EPSG:4326")
    reasons = depot.world.rows("SELECT layer, reason FROM geo.rejected_features ORDER BY layer")
    assert [(row["layer"], row["reason"]) for row in reasons] == [
        ("a", "column 'lon': 'east' does not fit into double"),
        ("b", "'POINT (a b)' cannot be read as a geometry"),
    ]


@pytest.mark.parametrize(
    ("file", "encoding", "texts"),
    [
        # Their .dbf names none, or one that is right.
        ("mbostock+shapefile/latin1-property.shp", None, ["México"]),
        ("mbostock+shapefile/latin1-property.shp", "latin1", ["México"]),
        ("mapnik+test-data/farsi-labels.shp", None, ["پاکستان"]),
        ("geotools+geotools/rus-windows-1251.shp", None, ["Кириллица"]),
        ("geotools+geotools/rus-windows-1251.shp", "windows-1251", ["Кириллица"]),
    ],
)
def test_text_is_read_in_the_encoding_that_is_named_or_found(
    depot: Depot, corpus: Path, file: str, encoding: str | None, texts: list[str]
) -> None:
    depot.put_file(corpus / "vector" / file, "a.shp")
    depot.load(blob="a.shp", encoding=encoding)
    read = {value for row in depot.rows("a") for value in row.values() if isinstance(value, str)}
    assert set(texts) <= read


def test_text_that_is_not_in_its_encoding_is_refused(depot: Depot, corpus: Path) -> None:
    depot.put_file(corpus / "vector/mbostock+shapefile/latin1-property.shp", "a.shp")
    reason = depot.refusal(blob="a.shp", encoding="utf-8")
    assert reason.startswith("encoding: the parameter says UTF-8, and the text of the .dbf is not")


def test_parameters_that_cannot_go_together_are_refused_by_name(depot: Depot) -> None:
    with pytest.raises(InvalidParameters, match="key_columns"):
        depot.run(blob="a.geojson", if_exists="upsert")
    with pytest.raises(InvalidParameters, match="target_schema"):
        depot.run(blob="a.geojson", target_schema="pg_catalog")
    with pytest.raises(InvalidParameters, match="polygon"):
        depot.run(blob="a.geojson", polygon="POINT (1 1)")
