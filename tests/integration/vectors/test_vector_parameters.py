"""What parameters of vector_to_postgis make of a file, from submission to the tables."""

from __future__ import annotations

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
        (2, 4, "SRID=4326;MULTIPOINT(3 4,5 6)"),
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
    assert len(depot.rows("mixed_point")) == 3
    reason = depot.refusal(blob="mixed.csv", assume_crs="EPSG:4326", mixed_geometries="split", repair="drop")
    assert reason == "table features.mixed_point exists, and if_exists is fail"
