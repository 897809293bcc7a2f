"""summarize_container: exact however the container was divided."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers.summarize_container import SummarizeContainer, SummarizeContainerParameters
from interfaces.blobs import BlobItem
from interfaces.containers import MAX_DISTINCT, ContainerSummary, extension_of, size_class
from interfaces.contracts import JsonObject
from interfaces.plans import Tasks, TasksFromItems

from .outcomes import stage_result, task_results

blob_items = st.builds(
    BlobItem,
    name=st.from_regex(r"[a-c]{1,2}(/[a-c]{1,2}){0,2}\.(tif|TIF|shp|txt)", fullmatch=True),
    size=st.sampled_from([0, 1, 2**20, 2**30, 2**40]),
    last_modified=st.integers(0, 800).map(lambda days: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days)),
    tier=st.sampled_from(["Hot", "Cool", None]),
)


def part(blobs: list[BlobItem]) -> JsonObject:
    summary = ContainerSummary()
    summary.add_page(blobs)
    return {"summary": summary.model_dump(mode="json")}


def aggregate(above: list[BlobItem], *parts: list[BlobItem]) -> JsonObject:
    return SummarizeContainer().aggregate(
        SummarizeContainerParameters(container="bronze"),
        [stage_result(1, 1), stage_result(2, len(parts))],
        task_results(s1=[part(above)], s2=[part(blobs) for blobs in parts]),
    )


def test_the_container_is_divided_by_one_task_and_counted_by_one_for_each_part() -> None:
    parameters = SummarizeContainerParameters(container="bronze", prefix="a/", limit=7)

    first = SummarizeContainer().plan(1, parameters, None)
    second = SummarizeContainer().plan(2, parameters, stage_result(1, 1))

    assert isinstance(first, Tasks)
    assert list(first.parameters) == [{"container": "bronze", "prefix": "a/", "limit": 7}]
    assert second == TasksFromItems(common={"container": "bronze", "limit": 7})


@given(st.lists(st.tuples(blob_items, st.integers(0, 3)), unique_by=lambda pair: pair[0].name, max_size=40))
def test_the_sum_of_the_parts_does_not_depend_on_how_the_container_was_divided(
    blobs: list[tuple[BlobItem, int]],
) -> None:
    whole = aggregate([blob for blob, _ in blobs])
    divided = aggregate(*([blob for blob, where in blobs if where == part] for part in range(4)))

    assert {**divided, "parts": 0} == {**whole, "parts": 0}
    assert whole["files"] == len(blobs)
    assert whole["bytes"] == sum(blob.size for blob, _ in blobs)


def test_the_result_counts_by_extension_size_month_and_tier() -> None:
    blobs = [
        BlobItem(name="a.tif", size=0, last_modified=datetime(2026, 1, 31, 23, tzinfo=UTC), tier="Hot"),
        BlobItem(name="b.TIF", size=5, last_modified=datetime(2026, 2, 1, tzinfo=UTC), tier="Cool"),
        BlobItem(name="c/roads.gpkg", size=2 * 1024**3, last_modified=None, tier=None),
        BlobItem(name="c/README", size=1024**2, last_modified=datetime(2026, 2, 1, tzinfo=UTC), tier="Hot"),
    ]

    result = aggregate(blobs[:1], blobs[1:])

    assert (result["files"], result["rasters"], result["vectors"]) == (4, 2, 1)
    assert result["by_extension"] == {
        "tif": {"files": 2, "bytes": 5},
        "(none)": {"files": 1, "bytes": 1024**2},
        "gpkg": {"files": 1, "bytes": 2 * 1024**3},
    }
    assert {key: c["files"] for key, c in result["by_month"].items()} == {  # type: ignore[index, union-attr, call-overload]
        "2026-01": 1,
        "2026-02": 2,
        "(none)": 1,
    }
    assert set(result["by_size_class"]) == {"empty", "under 1 MiB", "1 to 10 MiB", "1 to 10 GiB"}  # type: ignore[arg-type]
    assert set(result["by_tier"]) == {"Hot", "Cool", "(none)"}  # type: ignore[arg-type]
    assert result["largest"][0]["name"] == "c/roads.gpkg"  # type: ignore[index, call-overload]
    assert [file["name"] for file in result["newest"]] == ["b.TIF", "c/README", "a.tif", "c/roads.gpkg"]  # type: ignore[index, union-attr, call-overload]


def test_a_summary_stays_small_however_many_extensions_there_are() -> None:
    summary = ContainerSummary()
    summary.add_page(BlobItem(name=f"a.x{i}", size=1) for i in range(5 * MAX_DISTINCT))

    assert len(summary.by_extension) == MAX_DISTINCT + 1
    assert summary.by_extension["(other)"].files == 4 * MAX_DISTINCT
    assert summary.files == 5 * MAX_DISTINCT
    assert len(summary.largest) == 10


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.tif", "tif"),
        ("x/a.TIF", "tif"),
        ("a.tar.gz", "gz"),
        ("a", "(none)"),
        ("x.y/a", "(none)"),
        (".hidden", "(none)"),
        ("a.", "(none)"),
    ],
)
def test_the_extension_is_what_follows_the_last_dot_of_the_last_part(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_classes_of_size_begin_where_the_one_before_ends() -> None:
    assert size_class(0) == "empty"
    assert size_class(1) == "under 1 MiB"
    assert size_class(1024**2 - 1) == "under 1 MiB"
    assert size_class(1024**2) == "1 to 10 MiB"
    assert size_class(10 * 1024**3) == "10 GiB and more"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [({}, "container"), ({"container": "b"}, "container"), ({"container": "bronze", "limit": 0}, "limit")],
)
def test_wrong_parameters_are_refused_by_the_name_of_their_field(
    parameters: dict[str, object], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        SummarizeContainerParameters.model_validate_json(json.dumps(parameters))

    assert [error["loc"][0] for error in caught.value.errors()] == [field]
