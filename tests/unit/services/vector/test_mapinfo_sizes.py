"""Objects of MapInfo's .map that are too large are found before GDAL reads them, and named."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from services.vector import feature_sizes, mapinfo_sizes
from services.vector.parts import Part, screened

RANDOM = numpy.random.default_rng(1)
COORDINATES, SIZE, BLOCK_SIZE = 5, 9, 0x106
"""Where an object tells its place of coordinates, and how many bytes these have; and the file its blocks."""


def nothing() -> None: ...


def made(path: Path, shapes: list[Any]) -> list[bytes]:
    """Write them, and say what GDAL reads of each."""
    column = pyarrow.array(shapely.to_wkb(shapes).tolist(), pyarrow.binary())
    table = pyarrow.table({"n": list(range(len(shapes))), "geom": column})
    asked = {"geometry_name": "geom", "geometry_type": shapes[0].geom_type, "crs": "EPSG:4326"}
    pyogrio.write_arrow(table, path, driver="MapInfo File", **asked)
    _, read = pyogrio.read_arrow(path)
    return [bytes(one) for one in read.column("wkb_geometry").to_pylist()]


def ring(corners: int, size: float = 1.0) -> Any:
    around = numpy.linspace(0, 2 * numpy.pi, corners + 1)[:-1]
    return shapely.polygons(numpy.stack([numpy.cos(around), numpy.sin(around)], axis=1) * size)


def line(corners: int, size: float = 1.0) -> Any:
    return shapely.linestrings(RANDOM.random((corners, 2)) * size)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_sizes, "FREE_BYTES", 100)
    monkeypatch.setattr(mapinfo_sizes, "PLACES", 8)


@pytest.mark.parametrize(
    "shapes",
    [
        [line(10), line(3000), line(10)],
        [line(10, 1e-4), line(300, 1e-4), line(10, 1e-4)],
        [ring(10), ring(3000), ring(10)],
        [ring(10, 1e-4), ring(300, 1e-4), ring(10, 1e-4)],
        # More vertices, and more sections, than the first versions could count.
        [ring(10), ring(40_000), ring(10)],
        [shapely.MultiLineString(list(RANDOM.random((count, 2, 2)))) for count in (2, 35_000, 2)],
        [shapely.MultiPolygon([ring(4, one + 1) for one in range(count)]) for count in (2, 100, 2)],
        [shapely.MultiLineString([line(4) for _ in range(count)]) for count in (2, 100, 2)],
        [shapely.polygons(ring(9).exterior, [ring(count).exterior] * 5) for count in (4, 200, 4)],
    ],
    ids=range(9),
)
def test_the_feature_that_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: list[Any]
) -> None:
    path = tmp_path / "a.tab"
    largest = max(map(len, made(path, shapes)))
    monkeypatch.setattr(mapinfo_sizes, "MAX_FEATURE_BYTES", largest * 5 // 4)
    screened(Part(path, "MapInfo File", "a"), None, nothing)
    monkeypatch.setattr(mapinfo_sizes, "MAX_FEATURE_BYTES", largest * 3 // 4)
    with pytest.raises(PermanentTaskError, match=r"^feature 2: one feature is larger than 32 MiB"):
        screened(Part(path, "MapInfo File", "a"), None, nothing)


@pytest.mark.parametrize("corners", [3000, 40_000])
def test_what_a_region_says_of_its_size_need_not_be_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corners: int
) -> None:
    path = tmp_path / "a.tab"
    largest = max(map(len, made(path, [ring(10), ring(corners)])))
    places = numpy.fromfile(path.with_suffix(".id"), "<u4").tolist()
    content = bytearray(path.with_suffix(".map").read_bytes())
    content[places[1] + SIZE : places[1] + SIZE + 4] = struct.pack("<i", 100)
    path.with_suffix(".map").write_bytes(content)
    monkeypatch.setattr(mapinfo_sizes, "MAX_FEATURE_BYTES", largest // 2)
    with pytest.raises(PermanentTaskError, match=r"^feature 2: "):
        screened(Part(path, "MapInfo File", "a"), None, nothing)


def test_what_leads_nowhere_is_left_to_gdal(tmp_path: Path) -> None:
    path = tmp_path / "a.tab"
    made(path, [ring(10), shapely.MultiPolygon([ring(4), ring(4)])])
    places = numpy.fromfile(path.with_suffix(".id"), "<u4").tolist()
    content = path.with_suffix(".map").read_bytes()
    for place in (places[1] + COORDINATES, places[1] + SIZE, BLOCK_SIZE):
        broken = bytearray(content)
        broken[place : place + 2] = b"\xff\x7f"
        path.with_suffix(".map").write_bytes(broken)
        screened(Part(path, "MapInfo File", "a"), None, nothing)
    path.with_suffix(".map").write_bytes(content[:2000])
    screened(Part(path, "MapInfo File", "a"), None, nothing)
