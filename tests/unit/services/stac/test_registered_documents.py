"""Which items of a document go on, and what is said of the others; without a database."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from interfaces.catalog import CatalogRepository
from interfaces.settings import Settings
from services.cog.resources import Resources
from services.stac.registered_documents import BuiltItems, RegisteredDocuments
from services.stac.validation import ItemValidator
from tests.doubles.memory_blobs import MemoryBlobs
from tests.integration.stac.items import item
from tests.unit.services.doubles import Context

VALIDATOR = ItemValidator()


def read(*documents: Any, collection_id: str | None = "scenes") -> tuple[BuiltItems, Context]:
    """What becomes of a file with these, one a line."""
    blobs, context = MemoryBlobs(), Context()
    for container in ("bronze", "scratch"):
        blobs.ensure_container(container)
    blobs.write("bronze", "a.ndjson", "\n".join(map(json.dumps, documents)).encode())
    resources = Resources(Settings())
    reader = RegisteredDocuments(blobs, cast(CatalogRepository, None), VALIDATOR, "scratch", resources)
    blob = blobs.properties("bronze", "a.ndjson")
    return reader("bronze", blob, context, collection_id=collection_id, chunk=0), context


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"geometry": None}, "bbox", "is not allowed"),
        ({"geometry": None, "bbox": None}, "bbox", ""),
        ({"properties": {"datetime": None}}, "properties", "start_datetime"),
        ({"properties": {}}, "properties", "datetime"),
        ({"properties": {"datetime": "yesterday"}}, "properties.datetime", "date-time"),
        ({"properties": {"datetime": "2024-01-01T00:00:00+02:00"}}, "properties.datetime", "match"),
        ({"properties": {"datetime": "0000-01-01T00:00:00Z"}}, "properties.datetime", "no moment"),
        ({"id": "a/b"}, "id", "no URL leads to it"),
        ({"id": ".."}, "id", "no URL leads to it"),
        ({"id": "a\\b"}, "id", "no URL leads to it"),
        ({"id": "a\nb"}, "id", "no URL leads to it"),
        ({"id": " a"}, "id", "no URL leads to it"),
        ({"id": "a" * 513}, "id", "more than 512"),
        ({"geometry": {"type": "Polygon", "coordinates": []}}, "geometry", "empty"),
        ({"geometry": {"type": "GeometryCollection", "geometries": []}}, "geometry", "coordinates"),
        ({"geometry": {"type": "MultiPoint", "coordinates": []}}, "geometry", "empty"),
        ({"geometry": {"type": "Point", "coordinates": [190, 0]}}, "geometry", "longitude 190"),
        (
            {"geometry": {"type": "LineString", "coordinates": [[0, 0], [1, -100]]}},
            "geometry",
            "latitude -100",
        ),
        ({"id": 7}, "id", "string"),
        ({"stac_version": "1.0.0-beta.2"}, "stac_version", "known are 1.0.0, 1.1.0"),
        ({"stac_version": "../../x"}, "stac_version", "known are"),
        ({"type": "Nonsense"}, "type", "neither an item (Feature) nor a Collection"),
        ({"assets": {"data": {}}}, "assets.data", '"href" is a required property'),
        ({"links": None}, "links", "array"),
        ({"properties": {"datetime": "2024-01-01T00:00:00Z", "text": "a\0b"}}, "", "U+0000"),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}},
            "geometry.coordinates.0",
            "not closed",
        ),
        (
            {
                "properties": {
                    "datetime": None,
                    "start_datetime": "2024-02-01T00:00:00Z",
                    "end_datetime": "2024-01-01T00:00:00Z",
                }
            },
            "properties.start_datetime",
            "is after end_datetime",
        ),
        (
            {
                "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
                "properties": {"datetime": "2024-01-01T00:00:00Z", "proj:code": 4326},
            },
            "properties.proj:code",
            "",
        ),
    ],
    ids=str,
)
def test_an_invalid_item_is_rejected_by_itself_with_path_and_reason(
    change: dict[str, Any], path: str, reason: str
) -> None:
    built, context = read(item(1), {**item(2), **change}, item(3))
    assert [found["item"]["id"] for found in context.items] == ["item-1", "item-3"]  # type: ignore[index, call-overload]
    [reject] = built.rejects
    assert (reject.file, reject.place) == ("a.ndjson", "line 2")
    assert reject.path == path
    assert reason in reject.reason
    assert (built.items, built.rejected) == (2, 1)


def test_an_item_of_a_span_without_a_datetime_has_its_start_as_one() -> None:
    """pgstac drops members that are null, and an item without a datetime is not valid."""
    span = {"start_datetime": "2024-01-01T00:00:00Z", "end_datetime": "2024-02-01T00:00:00Z"}
    built, context = read(item(1, properties={"datetime": None, **span}))
    [found] = context.items
    properties = found["item"]["properties"]  # type: ignore[index, call-overload]
    assert properties["datetime"] == span["start_datetime"]  # type: ignore[index, call-overload]
    assert built.notes == ["1 of the items: datetime was null, and is now the start"]


def test_an_item_that_belongs_to_no_collection_is_asked_for_one() -> None:
    built, _ = read(item(1, collection=None), collection_id=None)
    [reject] = built.rejects
    assert "give collection_id" in reject.reason


def test_a_text_that_only_looks_like_u_0000_is_taken() -> None:
    built, _ = read(item(1, properties={"datetime": "2024-01-01T00:00:00Z", "pattern": "\\u0000"}))
    assert (built.items, built.rejected) == (1, 0)


def test_a_collection_of_another_id_than_is_asked_for_is_rejected() -> None:
    built, _ = read({"type": "Collection", "id": "other"})
    [reject] = built.rejects
    assert (reject.id, reject.path) == ("other", "id")


def test_more_rejects_than_a_result_holds_are_counted() -> None:
    built, context = read(*[item(number, id=7) for number in range(1200)])
    assert (built.rejected, context.items) == (1200, [])
    assert 0 < len(built.rejects) <= 1000


def test_the_longest_list_of_rejects_stays_in_the_tasks_row() -> None:
    """Else the job's own result could not count what is in it."""
    built, _ = read(*[item(number, id="é" * 1000, stac_version="é" * 400) for number in range(1000)])
    assert len(built.model_dump_json().encode()) < 1024**2


def test_validation_asks_nothing_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refused)
    built, _ = read(item(1, stac_extensions=["https://example.com/x/v1.0.0/schema.json"]))
    assert (built.items, built.unvalidated) == (1, ["https://example.com/x/v1.0.0/schema.json"])
