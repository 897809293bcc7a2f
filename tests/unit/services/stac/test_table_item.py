"""Items of tables of features, each valid against the schemas."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.stac.table_item import NoPlace, Table, table_item
from services.stac.validation import ItemValidator

MOMENT = datetime(2026, 11, 26, 12, tzinfo=UTC)


def item(extent: list[float] | None = None, crs: str = "EPSG:4326", **given: Any) -> dict[str, Any]:
    table = Table(
        schema="features",
        name="große_co",
        title="Größe & Co",
        crs=crs,
        extent=extent,
        rows=7,
        columns=[("fid", "bigint", None), ("geom", "geometry(MultiPolygon,4326)", None), ("n", "text", "N")],
        geometry="geom",
        href="postgresql://db.example:5432/geo?table=features.gro%C3%9Fe_co",
    )
    made = table_item(
        table, collection_id="tables", time=MOMENT, loaded=MOMENT, lineage="Loaded by job a from b."
    )
    assert ItemValidator().validate(made).errors == ()
    assert ItemValidator().validate(made).unknown == ()
    return made


def test_an_item_says_where_a_table_is_and_what_is_in_it() -> None:
    made = item([500000, 5300000, 600000, 5400000], crs="EPSG:32632")
    properties = made["properties"]
    assert properties["table:row_count"] == 7
    assert properties["table:primary_geometry"] == "geom"
    assert properties["table:columns"][-1] == {"name": "n", "type": "text", "description": "N"}
    assert (properties["proj:code"], properties["proj:bbox"][0]) == ("EPSG:32632", 500000)
    assert properties["datetime"] == "2026-11-26T12:00:00Z"
    assert made["assets"]["data"]["href"].startswith("postgresql://db.example:5432/geo?table=")
    assert made["bbox"] == pytest.approx([9, 47.85, 10.36, 48.75], abs=0.01)
    assert made["id"] == item([0, 0, 1, 1])["id"]


@pytest.mark.parametrize(
    ("extent", "crs", "kind", "bbox"),
    [
        ([0, 0, 2, 1], "EPSG:4326", "Polygon", [0, 0, 2, 1]),
        ([1, 2, 1, 2], "EPSG:4326", "Point", [1, 2, 1, 2]),
        # What is kept beyond 180 degrees, and what a map of the Pacific has on both sides of it.
        ([170, 0, 190, 1], "EPSG:4326", "MultiPolygon", [170, 0, -170, 1]),
        ([3000000, 0, 4000000, 1000000], "EPSG:3832", "MultiPolygon", [176.95, 0, -174.07, 9.01]),
        ([0, -90, 360, 90], "EPSG:4326", "Polygon", [-180, -90, 180, 90]),
    ],
)
def test_its_place_is_the_extent_of_the_table(
    extent: list[float], crs: str, kind: str, bbox: list[float]
) -> None:
    made = item(extent, crs)
    assert made["geometry"]["type"] == kind
    assert made["bbox"] == pytest.approx(bbox, abs=0.01)


@pytest.mark.parametrize(
    ("extent", "crs", "reason"),
    [
        (None, "EPSG:4326", "it has no geometries"),
        ([1e9, 1e9, 2e9, 2e9], "EPSG:32632", "its extent"),
    ],
)
def test_a_table_without_a_place_has_no_item(extent: list[float] | None, crs: str, reason: str) -> None:
    with pytest.raises(NoPlace, match=reason):
        item(extent, crs)
