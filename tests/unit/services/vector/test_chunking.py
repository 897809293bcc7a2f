"""Chunks of a layer, and how many features are read at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import pyarrow
import pytest

from services.vector import chunking
from services.vector.chunking import Seen

MEGABYTE = 1024**2


def seen(lengths: list[int], *, chunk_features: int = 50_000, batch: int = 700, first_fid: int = 1) -> Seen:
    """Of geometries that have so many bytes."""

    def batches() -> Iterator[pyarrow.RecordBatch]:
        for start in range(0, len(lengths), batch):
            some = lengths[start : start + batch]
            ids = pyarrow.array(range(start + first_fid, start + first_fid + len(some)), pyarrow.int64())
            column = pyarrow.array([b"\x01\x01\x00\x00\x00" + bytes(one - 5) for one in some])
            yield pyarrow.RecordBatch.from_arrays([ids, column], names=["fid", "geom"])

    found = Seen(chunk_features)
    found.look(batches(), 1, 0, lambda: None)
    return found


@pytest.mark.parametrize("chunk_features", [1000, 1500, 2000, 50_000])
@pytest.mark.parametrize("driver", ["GPKG", "FlatGeobuf"])
def test_chunks_are_all_of_it_once_none_too_large_and_much_of_a_size(
    chunk_features: int, driver: str
) -> None:
    found = seen([20] * 5300, chunk_features=chunk_features, first_fid=7)
    chunks = chunking.chunks(found, driver, 5300 * 100, whole=False)
    assert [chunk.skip for chunk in chunks] == numpy.cumsum([0, *(c.features for c in chunks[:-1])]).tolist()
    assert sum(chunk.features for chunk in chunks) == 5300
    assert max(chunk.features for chunk in chunks) <= chunk_features
    assert len(chunks) == -(-5300 // chunk_features)
    if driver == "GPKG" and len(chunks) > 1:
        ranges = [(7 + chunk.skip, 6 + chunk.skip + chunk.features) for chunk in chunks]
        assert [chunk.fids for chunk in chunks] == ranges


def test_chunks_of_large_features_are_smaller_and_what_cannot_be_cut_is_one() -> None:
    found = seen([20] * 5300)
    size = 1024 * MEGABYTE
    chunks = chunking.chunks(found, "GPKG", size, whole=False)
    assert len(chunks) == 6
    assert len(chunking.chunks(found, "GeoJSON", size, whole=False)) == 1
    assert len(chunking.chunks(found, "GPKG", size, whole=True)) == 1
    assert [chunk.features for chunk in chunking.chunks(seen([]), "GPKG", 0, whole=False)] == [0]


def test_feature_ids_that_do_not_rise_are_not_used() -> None:
    found = seen([20] * 2500, chunk_features=1000)
    found.rising = False
    assert [chunk.fids for chunk in chunking.chunks(found, "GPKG", 1, whole=False)] == [None] * 3


def test_batches_are_as_small_as_the_largest_features_of_a_file_that_follow_one_another() -> None:
    small = seen([100] * 20_000)
    assert chunking.safe_batch(20_000 * 400, small) == 5242
    few_large = seen([100] * 3000 + [200_000] * 300 + [100] * 3000)
    assert few_large.largest == 200_000
    batch = chunking.safe_batch(60 * MEGABYTE, few_large)
    assert batch * few_large.largest <= chunking.DENSE_BYTES
    spread = seen(([100] * 999 + [200_000]) * 6)
    # Less than one in each window: many can be read at a time.
    assert 1000 < chunking.safe_batch(2 * MEGABYTE, spread) <= 6000
    assert chunking.safe_batch(100 * MEGABYTE, seen([50 * MEGABYTE] * 2)) == 1


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ([10] * 50, 10),
        ([10] * 50 + [100] + [10] * 50, 1),
        ([10] * 50 + [200] + [10] * 50, 1),
        ([1] * 50 + [30, 30, 30, 30] + [1] * 50, 3),
        ([5, 95, 5], 2),
        ([1] * 50, chunking.MOST_FEATURES),
    ],
)
def test_so_many_are_read_together_as_are_not_too_large_anywhere(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], rows: int
) -> None:
    monkeypatch.setattr(chunking, "TOGETHER", 100)
    found = chunking.Together()
    for size in sizes:
        found.add(size)
    assert found.bound.rows == rows


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ([1] * 50, chunking.MOST_FEATURES),
        ([30, *[1] * 99] * 5, 3),
        ([300, *[1] * 99] * 5, 1),
        ([300, *[1] * 30], 5),
    ],
)
def test_a_filter_may_bring_the_largest_together(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], rows: int
) -> None:
    monkeypatch.setattr(chunking, "TOGETHER", 100)
    monkeypatch.setattr(chunking, "BESIDE", 4)
    monkeypatch.setattr(chunking, "MOST_FEATURES", 200)
    found = chunking.Together()
    for size in sizes:
        found.add(size)
    assert found.bound.chosen == min(rows, 200)


def test_batches_that_are_joined_are_no_larger_than_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "JOINED_BYTES", 1000)
    texts = ["a" * size for size in [10] * 30 + [5000, 10, 10, 3000] + [10] * 30]
    pieces = [pyarrow.record_batch({"t": [one]}) for one in texts]
    found = list(chunking.joined(iter(pieces), 20))
    assert [value for one in found for value in one.column(0).to_pylist()] == texts
    assert [one.num_rows for one in found] == [20, 10, 1, 2, 1, 20, 10]
