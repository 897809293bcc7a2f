"""Which blobs pass a filter."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from interfaces.blobs import BlobItem
from interfaces.containers import BlobFilter
from services.blob_filter import BlobMatcher, Glob

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.tif", "a.tif", True),
        ("*.tif", "x/y/a.tif", True),
        ("*.tif", "a.tif.aux.xml", False),
        ("*.tif", "a.TIF", False),
        ("?.tif", "ab.tif", False),
        ("[ab].tif", "b.tif", True),
        ("[!ab].tif", "b.tif", False),
        ("x/*.tif", "x/a.tif", True),
        ("x/*.tif", "x/y/a.tif", False),
        ("x/**", "x/y/a.tif", True),
        ("x/**", "y/a.tif", False),
        ("**/a.tif", "a.tif", True),
        ("**/a.tif", "x/y/a.tif", True),
        ("**/y/*.tif", "x/y/a.tif", True),
        ("x/**/a.tif", "x/a.tif", True),
        ("x/**/a.tif", "x/1/2/a.tif", True),
        ("x/**/**/a.tif", "x/a.tif", True),
        ("/a.tif", "a.tif", True),
        ("/a.tif", "x/a.tif", False),
        ("a.tif", "x/a.tif", True),
        ("**", "x/a.tif", True),
        ("a+b(1).tif", "a+b(1).tif", True),
    ],
)
def test_a_glob(pattern: str, name: str, fits: bool) -> None:
    assert Glob(pattern).matches(name) is fits


@pytest.mark.parametrize("pattern", ["*a" * 200 + "b", "**/" * 200 + "b", "*/" * 200 + "b", "[" * 500])
def test_no_glob_takes_long(pattern: str) -> None:
    started = time.process_time()
    Glob(pattern).matches("a" * 800)
    Glob(pattern).matches("a/" * 400)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (BlobFilter(), True),
        (BlobFilter(extensions=["tif"]), True),
        (BlobFilter(extensions=["jp2"]), False),
        (BlobFilter(extensions=["jp2", "tif"]), True),
        (BlobFilter(extensions=["b.tif"]), True),
        (BlobFilter(extensions=["if"]), False),
        (BlobFilter(min_size=100), True),
        (BlobFilter(min_size=101), False),
        (BlobFilter(max_size=100), True),
        (BlobFilter(max_size=99), False),
        (BlobFilter(modified_after=DAY), True),
        (BlobFilter(modified_after=DAY + timedelta(seconds=1)), False),
        (BlobFilter(modified_before=DAY), False),
        (BlobFilter(modified_before=DAY + timedelta(seconds=1)), True),
        (BlobFilter(glob="x/*", extensions=["TIF"], min_size=1), True),
        (BlobFilter(glob="y/*", extensions=["TIF"], min_size=1), False),
    ],
)
def test_a_blob_passes_when_everything_that_is_asked_holds(wanted: BlobFilter, fits: bool) -> None:
    blob = BlobItem(name="x/a.b.TIF", size=100, last_modified=DAY)

    assert BlobMatcher(wanted).matches(blob) is fits


def test_a_blob_without_a_date_does_not_pass_a_bound_on_dates() -> None:
    assert not BlobMatcher(BlobFilter(modified_after=DAY)).matches(BlobItem(name="a", size=1))
