"""Files of exports, without a database: what is written is what others read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pyogrio
import pytest
import shapely

from interfaces.errors import LeaseLost, PermanentTaskError
from interfaces.layer_exports import ExportColumn
from services.vector import arrow_rows, gdal_files, geoparquet
from services.vector.arrow_rows import Seen, batches_of, bounds_of, schema_of

NAME = ExportColumn(name="bbox", type="text", as_text=False)
SCHEMA = schema_of([NAME], "geom")


def wkb(text: str) -> bytes:
    written: bytes = shapely.to_wkb(shapely.from_wkt(text), flavor="iso")
    return written


def batches(*rows: tuple[Any, ...], seen: Seen) -> Iterator[tuple[Any, Any]]:
    for batch in batches_of(iter(rows), [NAME], SCHEMA, lambda: None):
        bounds = bounds_of(batch)
        seen.look(batch, bounds, [NAME])
        yield batch, bounds


def test_batches_end_by_bytes_as_well_as_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH_BYTES", 1000)
    monkeypatch.setattr(arrow_rows, "BATCH_ROWS", 3)
    texts = ["x" * 1200, "", "", "", "", "y" * 900, "z" * 900]
    found = batches_of(((None, text) for text in texts), [NAME], SCHEMA, lambda: None)
    assert [batch.num_rows for batch in found] == [1, 3, 3]


def test_geoparquet_has_boxes_beside_a_column_of_that_name_and_null_for_no_crs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH_ROWS", 2)
    monkeypatch.setattr(geoparquet, "GROUP_ROWS", 2)
    seen = Seen()
    rows = [
        (wkb("POINT Z (1 2 3)"), "a"),
        (None, "b"),
        (wkb("LINESTRING (0 0, 5 7)"), None),
        (wkb("POINT EMPTY"), ""),
    ]
    path = tmp_path / "a.parquet"
    assert geoparquet.write(path, SCHEMA, batches(*rows, seen=seen), None, seen) == 2
    table = pyarrow.parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"geo"])["columns"]["geom"]
    assert (about["crs"], about["geometry_types"]) == (None, ["Point", "LineString", "Point Z"])
    assert (about["bbox"], about["covering"]["bbox"]["xmin"]) == ([0, 0, 5, 7], ["bbox_2", "xmin"])
    assert table["bbox"].to_pylist() == ["a", "b", None, ""]
    assert [box and box["xmax"] for box in table["bbox_2"].to_pylist()] == [1, None, 5, None]
    assert (geoparquet.read(path), seen.features, seen.without_geometry) == (4, 4, 2)


def test_geometries_that_geoparquet_has_no_name_for_are_refused() -> None:
    seen = Seen()
    seen.geometry_types["1016"] = 3
    with pytest.raises(PermanentTaskError, match="GeoParquet takes no geometries of type TIN"):
        geoparquet.geometry_types(seen)


@pytest.mark.parametrize(("driver", "extension"), [("GPKG", "gpkg"), ("FlatGeobuf", "fgb")])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("PointZM", "POINT ZM (1 2 3 4)"),
        # Of any kind: what GDAL does not know of the layer, FlatGeobuf leaves out.
        ("GeometryZM", "POINT ZM (1 2 3 4)"),
        ("GeometryZ", "POINT Z (1 2 3)"),
        ("GeometryM", "POINT M (1 2 4)"),
        ("Geometry", "POINT (1 2)"),
    ],
)
def test_z_and_m_stay_in_files_that_gdal_writes(
    tmp_path: Path, driver: str, extension: str, kind: str, shape: str
) -> None:
    path = tmp_path / f"a.{extension}"
    seen = Seen()
    given = [(wkb(shape), "a")]
    gdal_files.write(
        path,
        driver,
        "the layer",
        SCHEMA,
        (batch for batch, _ in batches(*given, seen=seen)),
        geometry_type=kind,
        crs="EPSG:3857",
        options={},
    )
    assert gdal_files.read(path) == 1
    with pyogrio.raw.open_arrow(path, use_pyarrow=True) as (about, reader):
        [row] = reader.read_all().to_pylist()
    assert (about["crs"], row["bbox"]) == ("EPSG:3857", "a")
    geometry = next(value for value in row.values() if isinstance(value, bytes))
    assert shapely.from_wkb(geometry).wkt == shape


def test_columns_with_numbers_that_are_none_are_known() -> None:
    column = ExportColumn(name="height", type="double precision", as_text=False)
    schema = schema_of([column], "geom")
    seen = Seen()
    for values in ([1.5, None], [math.inf], [2.5, math.nan]):
        assert not seen.with_nan
        [batch] = batches_of(iter((None, value) for value in values), [column], schema, lambda: None)
        seen.look(batch, bounds_of(batch), [column])
    assert seen.with_nan == {"height"}


def test_what_ends_the_rows_is_told_as_it_was_and_not_as_gdals(tmp_path: Path) -> None:
    def rows() -> Iterator[Any]:
        yield from batches((wkb("POINT (1 2)"), "a"), seen=Seen())
        raise LeaseLost("another attempt has the task")

    with pytest.raises(LeaseLost, match="another attempt has the task"):
        gdal_files.write(
            tmp_path / "a.gpkg",
            "GPKG",
            "a",
            SCHEMA,
            (batch for batch, _ in rows()),
            geometry_type="Point",
            crs="EPSG:4326",
            options={},
        )


@pytest.mark.parametrize(("driver", "extension"), [("GPKG", "gpkg"), ("FlatGeobuf", "fgb")])
def test_times_are_the_same_but_for_less_than_a_millisecond(
    tmp_path: Path, driver: str, extension: str
) -> None:
    texts = [
        *("1969-12-31T23:59:59.500", "1942-04-06T01:04:59.520", "1960-01-01T00:00:00.999999"),
        *("0001-01-01T00:00:00.001", "1960-01-01T00:00:00", "2024-01-01T12:00:59.999999"),
        "9999-12-31T23:59:59.999999",
    ]
    times = [datetime.fromisoformat(text) for text in texts]
    columns = [
        ExportColumn(name="t", type="timestamp", as_text=False),
        ExportColumn(name="z", type="timestamptz", as_text=False),
    ]
    schema = schema_of(columns, "geom")
    rows: list[tuple[Any, ...]] = [(wkb("POINT (1 2)"), time, time.replace(tzinfo=UTC)) for time in times]
    rows.append((wkb("POINT (1 2)"), None, None))
    path = tmp_path / f"a.{extension}"
    made = batches_of(iter(rows), columns, schema, lambda: None)
    about: dict[str, Any] = {"geometry_type": "Point", "crs": "EPSG:4326", "options": {}}
    gdal_files.write(path, driver, "a", schema, made, **about)
    with pyogrio.raw.open_arrow(path, datetime_as_string=True, columns=["t", "z"]) as (_, stream):
        found = pyarrow.RecordBatchReader.from_stream(stream).read_all()
    assert pyogrio.read_info(path)["ogr_types"] == ["OFTDateTime", "OFTDateTime"]
    wanted = {time.isoformat(timespec="milliseconds").removesuffix(".000") for time in times}
    assert set(found["t"].to_pylist()) == wanted | {None}
    assert set(found["z"].to_pylist()) == {f"{time}Z" for time in wanted} | {None}
