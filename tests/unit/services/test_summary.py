"""Dividing a container by prefixes, and counting the parts: each blob exactly once, whatever its shape."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interfaces.blobs import BlobItem
from interfaces.containers import ContainerSummary
from interfaces.errors import PermanentTaskError
from services import summary as module
from services.summary import (
    MAX_PARTS,
    CommonPrefixes,
    PartitionContainer,
    PartitionParameters,
    PartitionResult,
    SummarizePrefix,
    SummarizePrefixParameters,
)

from .doubles import Context, MemoryBlobs


def run(
    blobs: MemoryBlobs, prefix: str = "", limit: int | None = None
) -> tuple[ContainerSummary, PartitionResult]:
    """Divide, count all parts, and add everything up, as the job does."""
    context = Context()
    partition = PartitionContainer(blobs)(
        PartitionParameters(container="bronze", prefix=prefix, limit=limit), context
    )
    total = ContainerSummary()
    total.merge(partition.summary)
    for item in context.items:
        parameters = SummarizePrefixParameters.model_validate({"container": "bronze", "limit": limit, **item})
        total.merge(SummarizePrefix(blobs)(parameters, Context()).summary)
    return total, partition


names = st.lists(
    st.lists(st.text("abé-0.", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join),
    unique=True,
    max_size=60,
)


@settings(max_examples=300)
@given(names=names, prefix=st.sampled_from(["", "a", "a/", "b/a", "zz"]), parts=st.integers(1, 6))
def test_each_blob_is_counted_exactly_once(names: list[str], prefix: str, parts: int) -> None:
    blobs = MemoryBlobs.named(*names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ENOUGH_PARTS", parts)
        patch.setattr(module, "MAX_PARTS", parts)
        patch.setattr(module, "MAX_LEVEL_BLOBS", parts)
        patch.setattr(module, "PAGE", 2)
        total, _ = run(blobs, prefix)

    expected = ContainerSummary()
    expected.add_page(blob for name, blob in blobs.items.items() if name.startswith(prefix))
    assert total == expected


def test_a_wide_container_is_divided_into_a_bounded_number_of_parts() -> None:
    blobs = MemoryBlobs.named(*(f"tile-{i:05}/{band}.tif" for i in range(3000) for band in "ab"))

    total, partition = run(blobs)

    assert total.files == 6000
    assert 10 <= partition.parts <= MAX_PARTS


def test_a_chain_of_single_folders_is_followed_to_where_it_branches() -> None:
    chain = "/".join(f"level{i}" for i in range(20))
    blobs = MemoryBlobs.named(*(f"{chain}/{branch}/{i}.tif" for branch in range(50) for i in range(3)))

    total, partition = run(blobs)

    assert total.files == 150
    assert partition.parts == 50


def test_a_chain_that_never_branches_ends() -> None:
    total, partition = run(MemoryBlobs.named("a/" * 500 + "b.tif"))

    assert total.files == 1
    assert partition.parts == 1


def test_a_flat_container_is_listed_only_once() -> None:
    blobs = MemoryBlobs.named(*(f"{i:06}.tif" for i in range(12_000)))

    total, partition = run(blobs)

    assert total.files == 12_000
    assert partition.parts == 0
    assert blobs.listed == 12_000


def test_a_large_folder_beside_others_is_left_to_a_task_of_its_own() -> None:
    blobs = MemoryBlobs.named(*(f"{folder}/{i:06}.tif" for folder in "ab" for i in range(15_000)))

    total, partition = run(blobs)

    assert total.files == 30_000
    assert partition.parts >= 1


def test_a_limit_counts_the_first_blobs_in_order_of_name() -> None:
    blobs = MemoryBlobs.named("a/1.tif", "a/2.shp", "b.txt", "c/3.tif")

    total, partition = run(blobs, limit=3)

    assert partition.parts == 1
    assert set(total.by_extension) == {"tif", "shp", "txt"}
    assert total.files == 3


def test_a_limit_ends_within_a_page() -> None:
    blobs = MemoryBlobs.named(*(f"{i:06}" for i in range(10_000)))

    total, _ = run(blobs, limit=5001)

    assert total.files == 5001


def test_a_missing_container_fails_for_good_and_is_named() -> None:
    with pytest.raises(PermanentTaskError, match="'nowhere' does not exist"):
        PartitionContainer(MemoryBlobs())(PartitionParameters(container="nowhere"), Context())
    with pytest.raises(PermanentTaskError, match="'nowhere' does not exist"):
        SummarizePrefix(MemoryBlobs())(
            SummarizePrefixParameters(container="nowhere", prefix="", limit=1), Context()
        )


@given(st.sets(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=80), st.integers(3, 10))
def test_common_prefixes_cover_each_name_exactly_once(folders: set[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PARTS", most)
        prefixes = CommonPrefixes("root/")
        for folder in sorted(folders):
            prefixes.add(f"root/{folder}/")
        kept = prefixes.sorted()

    assert len(kept) <= most
    for folder in folders:
        assert sum(f"root/{folder}/x".startswith(prefix) for prefix in kept) == 1


def test_summaries_are_the_same_for_pages_of_any_size() -> None:
    items = [BlobItem(name=f"{i}.tif", size=i) for i in range(100)]
    one, many = ContainerSummary(), ContainerSummary()
    one.add_page(items)
    for item in items:
        many.add_page([item])

    assert one == many
