"""Items as tables: what comes back equal, and what no table can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import pyarrow
import pytest
from stac_geoparquet.arrow import stac_table_to_items

from interfaces.errors import PermanentTaskError
from services.stac import geoparquet
from tests.integration.collections.items import stac_item

OUTLINE: Any = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}


def back(folder: Path, *pages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The items after they were written to a file and read again."""
    table = geoparquet.table_of(pages)
    assert table is not None
    geoparquet.write(table, folder / "items.parquet", {"id": "scenes"})
    return {item["id"]: item for item in stac_table_to_items(geoparquet.read(folder / "items.parquet"))}


def test_boxes_lose_their_heights_which_geometries_keep(tmp_path: Path) -> None:
    tall = stac_item(2)
    tall["bbox"] = [2, 0, 7, 2, 0, 7]
    tall["geometry"] = {"type": "Point", "coordinates": [2.0, 0.0, 7.0]}
    read = back(tmp_path, [stac_item(1), tall])
    assert read["item-002"]["bbox"] == [2, 0, 2, 0]
    assert list(read["item-002"]["geometry"]["coordinates"]) == [2, 0, 7]
    assert read["item-001"]["bbox"] == stac_item(1)["bbox"]


def test_an_item_without_a_box_gets_that_of_its_geometry(tmp_path: Path) -> None:
    bare = {key: value for key, value in stac_item(3).items() if key not in ("bbox", "assets")}
    assert back(tmp_path, [bare, stac_item(1)])["item-003"]["bbox"] == [3, 0, 4, 1]
    assert back(tmp_path, [bare])["item-003"]["assets"] == {}


def test_only_some_items_need_to_have_a_geometry_in_their_own_crs(tmp_path: Path) -> None:
    items = [stac_item(1), stac_item(2, **{"proj:geometry": OUTLINE}), stac_item(3)]
    table = geoparquet.table_of([items])
    assert table is not None
    geoparquet.write(table, tmp_path / "items.parquet", {"id": "scenes"})
    frame = geopandas.read_parquet(tmp_path / "items.parquet").set_index("id").sort_index()
    assert list(frame["proj:geometry"].isna()) == [True, False, True]


def test_objects_that_are_empty_are_left_out_however_deep(tmp_path: Path) -> None:
    given: dict[str, Any] = {"processing:software": {}, "x": {"a": {"b": {}}, "c": 1}}
    properties = back(tmp_path, [stac_item(1, **given)])["item-001"]["properties"]
    assert properties["x"] == {"c": 1}
    assert "processing:software" not in properties


def test_times_lose_what_is_below_a_microsecond(tmp_path: Path) -> None:
    fine = stac_item(1, created="2024-01-01T00:00:00.123456789Z", title="2024-01-01T00:00:00.123456789Z")
    fine["properties"]["datetime"] = "2024-01-15T01:00:00.1234567+01:00"
    read = back(tmp_path, [fine, stac_item(2)])["item-001"]["properties"]
    assert read["created"] == "2024-01-01T00:00:00.123456Z"
    assert read["datetime"] == "2024-01-15T00:00:00.123456Z"
    assert read["title"] == fine["properties"]["title"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"created": "garbage"}, "item 'item-002' is nothing that a table can hold.*garbage"),
        ({"created": 5}, "item 'item-002' .*'created'"),
        ({"x": 2**70}, "item 'item-002' .*too large"),
        ({"x": [1, "a"]}, "item 'item-002' "),
        ({"gsd": "ten"}, "different types.*'item-001' to 'item-003'.*'ten'"),
    ],
)
def test_what_fits_no_table_is_told_by_the_item_or_by_the_ids_that_disagree(
    given: dict[str, Any], reason: str
) -> None:
    items = [stac_item(1, gsd=10), stac_item(2, **({"gsd": 10} | given)), stac_item(3, gsd=20)]
    with pytest.raises(PermanentTaskError, match=reason):
        geoparquet.table_of([items])


def test_pages_whose_values_disagree_are_refused_too() -> None:
    with pytest.raises(PermanentTaskError, match="different types"):
        geoparquet.table_of([[stac_item(1, gsd=10)], [stac_item(2, gsd="ten")]])


def test_tables_of_different_schemas_are_conformed_to_one(tmp_path: Path) -> None:
    pages = [
        [stac_item(1, gsd=10)],
        [stac_item(2, gsd=2.5, platform="a")],
        [{**stac_item(3, x={"a": 1}), "links": [{"rel": "via", "href": "https://example.com"}]}],
    ]
    tables = [table for page in pages if (table := geoparquet.table_of([page])) is not None]
    schema = geoparquet.together([geoparquet.encoded(table.schema) for table in tables])
    conformed = [geoparquet.conformed(table, schema) for table in tables]
    assert all(table.schema.equals(schema) for table in conformed)
    items = list(stac_table_to_items(pyarrow.concat_tables(conformed)))
    assert [item["properties"]["gsd"] for item in items] == [10, 2.5, None]


def test_tables_that_do_not_fit_together_are_refused() -> None:
    tables = [geoparquet.table_of([[stac_item(1, gsd=gsd)]]) for gsd in (10, "ten")]
    with pytest.raises(PermanentTaskError, match="different types"):
        geoparquet.together([geoparquet.encoded(table.schema) for table in tables if table is not None])


def test_no_items_make_no_table() -> None:
    assert geoparquet.table_of([]) is None
