"""A load takes no more memory than a worker has, however large the file is, and however its features lie."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fix_engine import World
from tests.fix_stack import CHECKOUT

from .crash_harness import report

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

MOST = 512 * 1024**2
"""Bytes, of a whole process."""
LARGE = [
    ("gpkg", 3_500_000, 33),
    ("fgb", 3_500_000, 33),
    ("geojsonl", 1_700_000, 33),
    ("shp", 2_500_000, 33),
    ("geojson", 1_200_000, 33),
    # In one row group.
    ("parquet", 3_000_000, 33),
]
"""Format, features, corners of each: some 2 GB, but for Parquet, which compresses them."""
TOGETHER = ("gpkg", "fgb", "geojsonl", "parquet")
TEXTS = ("gpkg", "sqlite", "fgb", "geojsonl", "geojson", "gml")


@pytest.mark.parametrize(("kind", "features", "corners"), LARGE, ids=lambda value: str(value))
def test_the_size_of_a_file_is_not_that_of_the_process(
    make_world: Callable[..., World], tmp_path: Path, kind: str, features: int, corners: int
) -> None:
    found = loaded(make_world(), tmp_path, kind, features, corners)
    assert found.get("read") == features, found
    assert found["rejected"] == 0
    assert found["peak"] < MOST


@pytest.mark.parametrize("kind", TOGETHER)
def test_nor_is_that_of_its_largest_features_that_follow_one_another(
    make_world: Callable[..., World], tmp_path: Path, kind: str
) -> None:
    found = loaded(make_world(), tmp_path, kind, 300_000, 20, 1500, 20_000)
    assert found.get("read") == 301_500, found
    assert found["peak"] < MOST


@pytest.mark.parametrize(("large", "text"), [(60, 20_000_000), (1500, 1_000_000)])
@pytest.mark.parametrize("kind", TEXTS)
def test_nor_that_of_its_largest_texts_that_follow_one_another(
    make_world: Callable[..., World], tmp_path: Path, kind: str, large: int, text: int
) -> None:
    found = loaded(make_world(), tmp_path, kind, 100_000, 20, large, 20, text)
    assert found.get("read") == 100_000 + large, found
    assert found["peak"] < MOST


@pytest.mark.parametrize("kind", [*TOGETHER, "shp", "tab", "mif"])
def test_one_feature_of_hundreds_of_megabytes_is_refused(
    make_world: Callable[..., World], tmp_path: Path, kind: str
) -> None:
    corners = 6_000_000 if kind == "geojsonl" else 13_000_000
    found = loaded(make_world(), tmp_path, kind, 10, 20, 1, corners)
    # Of Parquet the page that it is in is refused, before anybody knows what there is in it.
    reason = "pages and dictionaries would take" if kind == "parquet" else "one feature is larger than 32 MiB"
    assert reason in found["refused"]
    assert found["peak"] < MOST


def loaded(world: World, folder: Path, kind: str, *numbers: int) -> dict[str, Any]:
    """What a process of its own says of the load of a file that was made for it."""
    path, scratch = folder / f"large.{kind}", folder / "scratch"
    scratch.mkdir()
    _python("tests.chaos.make_large", kind, str(path), *map(str, numbers))
    size, began = sum(file.stat().st_size for file in folder.glob("large.*")), time.monotonic()
    world.rows("CREATE EXTENSION IF NOT EXISTS postgis", fetch=False)
    url = world.settings.database_url.get_secret_value()
    found: dict[str, Any] = json.loads(_python("tests.chaos.load_once", url, str(path), str(scratch)))
    seconds = round(time.monotonic() - began, 1)
    name = " ".join([kind, *map(str, numbers)])
    report("load memory", name, {**found, "bytes": size, "seconds": seconds})
    return found


def _python(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
