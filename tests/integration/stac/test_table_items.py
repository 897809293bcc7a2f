"""Tables that vector_to_postgis loads, in the catalog."""

from __future__ import annotations

from typing import Any

from .conftest import SOURCE, Library

ROWS = "id,lon,lat\n1,10,50\n2,11,51\n"


def load(library: Library, **given: Any) -> dict[str, Any]:
    job = library.world.submit("vector_to_postgis", container=SOURCE, **given)
    result: dict[str, Any] = library.world.run(job.job_id)["result"]
    return result


def test_a_table_has_an_item_that_follows_it(library: Library) -> None:
    library.put_bytes("in/places.csv", ROWS.encode())
    asked = {"blob": "in/places.csv", "collection_id": "tables", "if_exists": "replace"}
    result = load(library, **asked, datetime="2024-05-01T00:00:00Z")
    assert (result["registered"], result["catalog"], result["not_registered"]) == (1, "loaded", [])
    [item] = library.items("tables")
    assert item["properties"]["datetime"] == "2024-05-01T00:00:00Z"
    assert item["properties"]["table:row_count"] == 2
    assert [column["name"] for column in item["properties"]["table:columns"]] == [
        "fid",
        "geom",
        "id",
        "lon",
        "lat",
    ]
    assert item["bbox"] == [10, 50, 11, 51]
    address = item["assets"]["data"]["href"]
    assert address.startswith("postgresql://")
    assert address.endswith("?table=features.places")
    assert "@" not in address
    library.put_bytes("in/places.csv", f"{ROWS}3,12,52\n".encode())
    load(library, **asked)
    [again] = library.items("tables")
    assert again["id"] == item["id"]
    assert again["properties"]["table:row_count"] == 3
    assert again["properties"]["datetime"] == again["properties"]["created"]


def test_tables_without_a_place_or_a_collection_are_loaded_without_an_item(library: Library) -> None:
    library.put_bytes("none.csv", b"id,wkt\n1,\n")
    result = load(library, blob="none.csv", assume_crs="EPSG:4326", collection_id="tables")
    assert (result["loaded"], result["registered"]) == (1, 0)
    assert result["not_registered"] == ["features.none: it has no geometries"]
    library.put_bytes("places.csv", ROWS.encode())
    result = load(library, blob="places.csv")
    assert (result["loaded"], result["registered"], result["catalog"]) == (2, 0, None)
    assert library.items() == []
