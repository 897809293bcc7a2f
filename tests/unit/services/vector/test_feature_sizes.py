"""Features that are too large are refused by what files say of them, before memory is taken."""

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
from interfaces.vectors import LoadOptions
from services.vector import chunking, feature_sizes, json_records, library, screening
from services.vector.areas import Area
from services.vector.feature_sizes import rows_at_a_time
from services.vector.files import DRIVERS
from services.vector.losses import _lines
from services.vector.parts import Part, screened
from services.vector.reading import layers, stream
from tests.unit.services.vector.loads import found_in

MEGABYTE = 1024**2


def nothing() -> None: ...


def made(path: Path, corners: list[int], **options: str) -> Path:
    rings = [shapely.polygons(numpy.random.default_rng(1).random((n, 2))) for n in corners]
    table = pyarrow.table(
        {
            "a": list(range(len(corners))),
            "geom": pyarrow.array(shapely.to_wkb(rings).tolist(), pyarrow.binary()),
        }
    )
    asked = {"geometry_name": "geom", "geometry_type": "Polygon", "crs": "EPSG:4326"} | options
    pyogrio.write_arrow(table, path, driver=DRIVERS[path.suffix[1:]], **asked)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_sizes, "FREE_BYTES", 1000)
    monkeypatch.setattr(feature_sizes, "MAX_FEATURE_BYTES", 10_000)


@pytest.mark.parametrize("count", [1, 2, 17, 300])
@pytest.mark.parametrize("index", ["YES", "NO"])
def test_the_features_of_a_flatgeobuf_are_found_behind_any_index(
    tmp_path: Path, count: int, index: str
) -> None:
    path = made(tmp_path / "a.fgb", [30] * (count - 1) + [500], SPATIAL_INDEX=index)
    rows_at_a_time(path, "FlatGeobuf", nothing)
    path = made(tmp_path / "b.fgb", [30] * (count - 1) + [700], SPATIAL_INDEX=index)
    with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
        rows_at_a_time(path, "FlatGeobuf", nothing)


def test_fewer_are_read_together_where_a_filter_leaves_the_largest_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "TOGETHER", 20_000)
    monkeypatch.setattr(chunking, "BESIDE", 0)
    path = made(tmp_path / "a.fgb", ([500] + [30] * 60) * 5, SPATIAL_INDEX="NO")
    asked: list[int] = []
    opened = pyogrio.raw.open_arrow

    def open_arrow(*arguments: Any, batch_size: int, **named: Any) -> Any:
        asked.append(batch_size)
        return opened(*arguments, batch_size=batch_size, **named)

    monkeypatch.setattr(pyogrio.raw, "open_arrow", open_arrow)
    [layer] = layers(screened(Part(path, "FlatGeobuf", "a"), None, nothing))
    area = Area((-180.0, -90.0, 180.0, 90.0), None)
    for options in (LoadOptions(), LoadOptions(where="1 = 1")):
        with stream(layer, options, batch=1000) as found:
            assert sum(batch.num_rows for batch in found.batches) == 305
    with stream(layer, LoadOptions(), batch=1000, area=area, geometry_only=True) as found:
        assert sum(batch.num_rows for batch in found.batches) == 305
    follow, *chosen = asked
    assert follow > 20
    assert chosen == [2, 2]


def test_the_records_of_a_shapefile_are_looked_at_and_its_index_too(tmp_path: Path) -> None:
    path = made(tmp_path / "a.shp", [30, 500, 30])
    rows_at_a_time(path, "ESRI Shapefile", nothing)
    index = bytearray(path.with_suffix(".shx").read_bytes())
    index[112:116] = struct.pack(">i", 10_000)
    path.with_suffix(".shx").write_bytes(index)
    with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
        rows_at_a_time(path, "ESRI Shapefile", nothing)
    path.with_suffix(".shx").unlink()
    rows_at_a_time(path, "ESRI Shapefile", nothing)
    with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
        rows_at_a_time(made(tmp_path / "b.shp", [30, 700, 30]), "ESRI Shapefile", nothing)


@pytest.mark.parametrize(("extension", "driver"), [("mif", "MapInfo File"), ("gdb", "OpenFileGDB")])
@pytest.mark.parametrize(("vertices", "refused"), [([300] * 5, False), ([10, 3000, 10], True)])
def test_a_giant_of_mapinfo_or_a_geodatabase_is_found_by_what_the_file_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    extension: str,
    driver: str,
    vertices: list[int],
    refused: bool,
) -> None:
    lines = [shapely.linestrings([[n % 90, n % 70] for n in range(count)]) for count in vertices]
    shapes = pyarrow.array(shapely.to_wkb(lines).tolist(), pyarrow.binary())
    path = tmp_path / f"a.{extension}"
    asked = {"geometry_name": "geom", "geometry_type": "LineString", "crs": "EPSG:4326"}
    pyogrio.write_arrow(pyarrow.table({"geom": shapes}), path, driver=driver, **asked)
    # Of the tables of the format itself one is of 4,400 bytes, its rows of some 1,000.
    monkeypatch.setattr(feature_sizes, "BLOCK", 2000)
    monkeypatch.setattr(feature_sizes, "FREE_BYTES", 5000 if extension == "gdb" else 1000)
    monkeypatch.setattr(feature_sizes, "MIF_BYTES", 10_000)
    monkeypatch.setattr(feature_sizes, "GDB_ROW", 5000)
    if not refused:
        rows_at_a_time(path, driver, nothing)
        return
    with pytest.raises(PermanentTaskError, match=r"larger than 32 MiB|a row of the File Geodatabase"):
        screened(Part(path, driver, "a"), None, nothing)


def test_a_record_of_a_sequence_that_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "MAX_FEATURE_BYTES", 1000)
    path = tmp_path / "a.geojsonl"
    path.write_text('{"type": "Feature"}\n' + "x" * 2000 + "\n")
    with pytest.raises(PermanentTaskError, match="record 2: one feature is larger"):
        screening.check_json_sequence(path, 1, nothing)


@pytest.mark.parametrize(
    "said",
    [
        "Too large feature. You may define the OGR_GEOJSON_MAX_OBJ_SIZE configuration option",
        "Failed to read GeoJSON data; At line 1, character 7: GeoJSON object too complex/large.",
        "Failed to read GeoJSON data; At line 1, character 10000027: Too many characters in number",
    ],
    ids=range(3),
)
def test_what_gdal_does_not_read_for_its_size_is_told_without_its_options(said: str) -> None:
    refused = pytest.raises(PermanentTaskError, match=r"^one feature is larger than 32 MiB")
    with refused, library.told("data.geojson", "a.geojson"):
        raise RuntimeError(said)


def test_lines_are_counted_however_long_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.vector.losses.BLOCK", 10)
    path = tmp_path / "a.mid"
    for end in ("\n", "\r", "\r\n"):
        path.write_bytes(end.join(["a" * 25, "", " " * 30, "b" * 10, "c"]).encode())
        assert _lines(path) == 3


@pytest.mark.parametrize("end", ["</a><b/></k>", "</a></k>"])
def test_an_element_that_is_too_large_is_refused_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(screening, "MAX_FEATURE_BYTES", 1000)
    monkeypatch.setattr(screening, "BLOCK", 100)
    path = tmp_path / "a.gml"
    path.write_text("<k>" + f"<a>{'1 2 ' * 200}</a>" * 9 + "</k>")
    screening.screen_xml(path, nothing)
    path.write_text(f"<k><a>{'1 2 ' * 300}{end}")
    with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
        screening.screen_xml(path, nothing)


@pytest.mark.parametrize("extension", ["fgb", "geojson", "geojsonl", "gdb", "mif"])
def test_of_large_texts_that_follow_one_another_few_are_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    monkeypatch.setattr(feature_sizes, "MAX_FEATURE_BYTES", 10 * MEGABYTE)
    monkeypatch.setattr(json_records, "FREE_BYTES", 1000)
    monkeypatch.setattr(chunking, "TOGETHER", 200_000)
    texts = ["x"] * 5000 + ["y" * 40_000] * 10 + ["z"] * 5000
    points = shapely.to_wkb(shapely.points([[1, 2]] * len(texts))).tolist()
    path = tmp_path / f"a.{extension}"
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326"}
    table = pyarrow.table({"t": texts, "geom": pyarrow.array(points, pyarrow.binary())})
    pyogrio.write_arrow(table, path, driver=DRIVERS[extension], **asked)
    assert found_in(path).batch_features <= 5


def test_what_follows_the_places_in_the_index_of_a_geodatabase_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gdb"
    points = pyarrow.array(shapely.to_wkb(shapely.points([[1, 2]] * 3)).tolist(), pyarrow.binary())
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326"}
    pyogrio.write_arrow(pyarrow.table({"geom": points}), path, driver="OpenFileGDB", **asked)
    monkeypatch.setattr(feature_sizes, "FREE_BYTES", 10)
    for index in path.glob("*.gdbtablx"):
        # In the head of the table, where a size would be of more than the whole.
        index.write_bytes(index.read_bytes() + bytes([1, 0, 0, 0, 0]) * 8)
    screened(Part(path, "OpenFileGDB", "a"), None, nothing)
