"""Summaries of parts of a collection, added up and written into its document."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from interfaces.catalog_items import FieldValues, RangeExtent
from interfaces.collection_summaries import MOST_VALUES
from services.stac.collection_summary import CollectionSummary
from services.stac.validation import ItemValidator
from tests.integration.collections.items import COLLECTION

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
DECLARED = ("eo/v2.0.0", "processing/v1.2.0", "projection/v2.0.0", "raster/v2.0.0")
EO = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"


def summary(
    day: int = 1, west: float = 0, extensions: list[str] | None = None, **fields: Any
) -> CollectionSummary:
    """Of one item at one place on one day, with these values."""
    time = datetime(2024, 5, day, tzinfo=UTC)
    extent = RangeExtent(items=1, start=time, end=time, south=0, north=1, longitudes=[(west, west + 1)])
    return CollectionSummary.of(
        extent, [values(name.replace("__", ":"), *given) for name, given in fields.items()], extensions or []
    )


def values(field: str, *given: Any, more: bool = False) -> FieldValues:
    numbers = [one for one in given if isinstance(one, int | float) and not isinstance(one, bool)]
    return FieldValues(
        field=field,
        values=list(given),
        more=more,
        minimum=min(numbers, default=None),
        maximum=max(numbers, default=None),
    )


def total(*parts: CollectionSummary) -> CollectionSummary:
    made = CollectionSummary()
    for part in parts:
        made.merge(part)
    return made


def test_the_order_of_the_parts_does_not_matter() -> None:
    parts = [
        summary(3, 5, [EO], platform=["b"], gsd=[10]),
        summary(1, 0, [PROJECTION], platform=["a"], gsd=[30, 10.5]),
        summary(2, 100, platform=["a", "c"], instruments=["x"]),
    ]
    made = [total(*order) for order in itertools.permutations(parts)]
    assert all(one == made[0] for one in made)
    assert made[0].items == 3
    assert made[0].summaries(["platform", "gsd"])[0] == {"platform": ["a", "b", "c"], "gsd": [10, 10.5, 30]}
    assert made[0].extent() == {
        "spatial": {"bbox": [[0, 0, 101, 1]]},
        "temporal": {"interval": [["2024-05-01T00:00:00Z", "2024-05-03T00:00:00Z"]]},
    }


def test_numbers_become_a_range_texts_a_list_and_times_what_the_items_span() -> None:
    made, left_out = total(
        summary(1, eo__cloud_cover=[3, 80.5], platform=["a"], fill=[True, False]),
        summary(2, eo__cloud_cover=[0]),
    ).summaries(["eo:cloud_cover", "platform", "datetime", "fill", "mission"])
    assert made == {
        "eo:cloud_cover": {"minimum": 0, "maximum": 80.5},
        "platform": ["a"],
        "fill": [False, True],
        "datetime": {"minimum": "2024-05-01T00:00:00Z", "maximum": "2024-05-02T00:00:00Z"},
    }
    assert left_out == {}


def test_a_field_with_too_many_texts_is_left_out_and_one_with_too_many_numbers_is_a_range() -> None:
    half = MOST_VALUES // 2 + 1
    texts = [[f"p{n}" for n in range(half)], [f"q{n}" for n in range(half)]]
    numbers = [list(range(half)), list(range(half, 2 * half))]
    made, left_out = total(
        *(summary(platform=text, gsd=number) for text, number in zip(texts, numbers, strict=True))
    ).summaries(["platform", "gsd"])
    assert made == {"gsd": {"minimum": 0, "maximum": 2 * half - 1}}
    assert left_out == {"platform": "more than 100 values, or one of more than 300 characters"}


def test_what_people_wrote_into_the_document_stays() -> None:
    before: dict[str, Any] = {
        **COLLECTION,
        "title": "Mine",
        "links": [{"rel": "license", "href": "https://example.com"}],
        "providers": [{"name": "me"}],
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]], "note": "kept"},
            "temporal": {"interval": [[None, None]]},
        },
        "summaries": {"platform": ["guess"], "sci:doi": ["10.1/2"]},
        "stac_extensions": ["https://stac-extensions.github.io/scientific/v1.0.0/schema.json"],
    }
    part = summary(1, 7, [PROJECTION, EO], platform=["a"], proj__code=["EPSG:4326"])
    after = part.document(before, ["platform", "proj:code"], write_extent=True)
    assert after == {
        **before,
        "extent": {
            "spatial": {"bbox": [[7, 0, 8, 1]], "note": "kept"},
            "temporal": {"interval": [["2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z"]]},
        },
        "summaries": {"platform": ["a"], "sci:doi": ["10.1/2"], "proj:code": ["EPSG:4326"]},
        "stac_extensions": [*before["stac_extensions"], PROJECTION],
    }
    assert part.document(after, ["platform", "proj:code"], write_extent=True) == after


def test_a_document_with_summaries_of_extensions_meets_their_schemas() -> None:
    extensions = [f"https://stac-extensions.github.io/{name}/schema.json" for name in DECLARED]
    fields: dict[str, Any] = {
        "proj__code": ["EPSG:4326"],
        "eo__cloud_cover": [1, 2],
        "raster__sampling": ["area"],
        "processing__level": ["L1C"],
        "gsd": [10],
    }
    asked = [name.replace("__", ":") for name in fields]
    after = summary(1, 0, extensions, **fields).document(COLLECTION, asked, write_extent=True)
    assert after["stac_extensions"] == extensions
    assert set(after["summaries"]) == set(asked)  # type: ignore[arg-type]
    validation = ItemValidator().validate(after)
    assert (validation.errors, validation.unknown) == ((), ())


def test_a_collection_without_items_and_one_whose_extent_is_not_wanted_keep_theirs() -> None:
    assert CollectionSummary().document(COLLECTION, ["platform"], write_extent=True) == COLLECTION
    assert summary(1).document(COLLECTION, [], write_extent=False) == COLLECTION
