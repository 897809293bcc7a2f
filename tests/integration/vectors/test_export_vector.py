"""export_vector on a real database and a real blob service, from submission to a file that others read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pyogrio
import pytest
import shapely
from pyproj import CRS

from interfaces.errors import ServiceUnavailable
from repositories.layer_exports import PostgresLayerReader
from services.export_blobs import ExportBlobs

from .conftest import Depot

TYPED = Path(__file__).with_name("typed.sql").read_text()


class Exports:
    """Runs exports of one table into the depot's container."""

    def __init__(self, depot: Depot, folder: Path) -> None:
        self.depot, self.folder = depot, folder

    def run(self, **given: Any) -> dict[str, Any]:
        """To the end; the job's row."""
        asked = {
            "source_table": "typed",
            "target_container": self.depot.container,
            "format": "geoparquet",
        } | given
        world = self.depot.world
        return world.run(world.submit("export_vector", **asked).job_id)

    def write(self, **given: Any) -> dict[str, Any]:
        """What must succeed; the job's result."""
        job = self.run(**given)
        assert job["status"] == "completed", [task["error"] for task in self.depot.world.tasks(job["job_id"])]
        result: dict[str, Any] = job["result"]
        return result

    def refusal(self, **given: Any) -> str:
        """What must fail; why."""
        job = self.run(**given)
        assert job["status"] == "failed", job["result"]
        return next(str(task["error"]) for task in self.depot.world.tasks(job["job_id"]) if task["error"])

    def file(self, result: dict[str, Any]) -> Path:
        """What was written, brought here."""
        path = self.folder / Path(result["name"]).name
        path.write_bytes(self.depot.blobs.read(result["container"], result["name"]))
        assert path.stat().st_size == result["size"]
        return path

    def blobs(self, container: str, prefix: str = "") -> list[str]:
        return [blob.name for page in self.depot.blobs.list_pages(container, prefix) for blob in page]

    def scratch(self) -> list[str]:
        """What this world's jobs have left in the container of scratch blobs, which tests share."""
        world = self.depot.world
        jobs = world.rows("SELECT job_id FROM app.jobs")
        assert jobs
        return [name for job in jobs for name in self.blobs(world.settings.scratch_container, job["job_id"])]


@pytest.fixture
def exports(depot: Depot, tmp_path: Path) -> Exports:
    depot.world.rows(TYPED, fetch=False)
    return Exports(depot, tmp_path)


def test_a_layer_becomes_geoparquet_whose_types_crs_and_boxes_are_the_tables(exports: Exports) -> None:
    result = exports.write(path_template="{table}/{date}.parquet", order="spatial")
    assert (result["status"], result["name"], result["row_groups"]) == (
        "written",
        "typed/20240506.parquet",
        1,
    )
    assert (result["features"], result["without_geometry"]) == (6, 1)
    assert (result["crs"], result["extent"]) == ("EPSG:3857", [1000, 500, 5000, 2500])
    with pyarrow.parquet.ParquetFile(exports.file(result)) as file:
        table = file.read()
    about = json.loads(table.schema.metadata[b"geo"])
    column = about["columns"]["geom"]
    assert (about["version"], about["primary_column"], column["encoding"]) == ("1.1.0", "geom", "WKB")
    assert CRS.from_json_dict(column["crs"]) == CRS.from_epsg(3857)
    assert (column["geometry_types"], column["bbox"]) == (["MultiPoint Z"], [1000, 500, 5000, 2500])
    assert column["covering"] == {"bbox": {edge: ["bbox", edge] for edge in ("xmin", "ymin", "xmax", "ymax")}}
    rows = {row["name"]: row for row in table.to_pylist()}
    row = rows["name 2"]
    assert (row["flag"], row["small"], row["whole"], row["big"]) == (True, 2, 2, 9007199254740995)
    assert (row["single"], row["double"], row["exact"]) == (0.5, 0.1, "12345678901234567890.123")
    assert (row["raw"], str(row["day"]), str(row["at"])) == (b"\x00\x01", "2024-02-29", "12:34:56.789012")
    assert str(row["local"]) == "2024-02-29 12:34:56.789012"
    assert str(row["moment"]) == "2024-02-29 10:34:56.789000+00:00"
    assert (json.loads(row["document"]), row["numbers"], row['we "ird']) == (
        {"a": [1, None]},
        [2, None],
        "x'y",
    )
    assert shapely.from_wkb(row["geom"]).wkt == "MULTIPOINT Z ((2000 1000 2))"
    assert row["bbox"] == {"xmin": 2000, "ymin": 1000, "xmax": 2000, "ymax": 1000}
    assert (rows["nowhere"]["geom"], rows["nowhere"]["bbox"], rows["nowhere"]["fid"]) == (None, None, 6)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["small"], kinds["moment"], kinds["local"]) == (
        "int16",
        "timestamp[us, tz=UTC]",
        "timestamp[us]",
    )
    assert exports.scratch() == []


def test_what_is_exported_and_loaded_again_is_the_same(exports: Exports) -> None:
    world = exports.depot.world
    for kind, lossy in (("geoparquet", ""), ("geopackage", "at, local, numbers, exact")):
        name = f"again_{kind}"
        result = exports.write(format=kind, path_template=f"{name}.{{extension}}")
        exports.depot.load(blob=result["name"], mixed_geometries="refuse")
        # Boxes are an index, and no attribute.
        assert "bbox" not in exports.depot.rows(name)[0]
        left = {"fid", "exact", *lossy.split(", ")}
        [layer] = world.rows("SELECT columns FROM geo.layers WHERE title = 'Typed'")
        columns = [column["name"] for column in layer["columns"]]
        columns = [name for name in columns if name not in left and name.isidentifier()]
        listed = ", ".join(columns)
        [same] = world.rows(
            f"SELECT count(*) AS n FROM (SELECT {listed} FROM features.typed INTERSECT "
            f"SELECT {listed} FROM features.{name}) AS same"
        )
        assert same["n"] == 6, (kind, exports.depot.rows(name)[:1])


def test_a_geopackage_keeps_ids_and_crs_and_says_what_it_cannot_hold(exports: Exports) -> None:
    result = exports.write(format="geopackage", target_crs="EPSG:4326")
    path = exports.file(result)
    info = pyogrio.read_info(path)
    assert (info["layer_name"], info["crs"], info["features"]) == ("typed", "EPSG:4326", 6)
    assert (info["fid_column"], info["geometry_type"]) == ("fid", "MultiPoint Z")
    assert any("'numbers' is a list" in note for note in result["notes"])
    assert any("cut to milliseconds" in note for note in result["notes"])
    _, fids, geometries, _ = pyogrio.raw.read(path, return_fids=True, columns=[])
    assert sorted(fids) == [1, 2, 3, 4, 5, 6]
    placed = shapely.from_wkb(geometries)[list(fids).index(2)].geoms[0]
    assert (round(placed.x, 6), round(placed.y, 6), placed.z) == (0.017966, 0.008983, 2)


def test_flatgeobuf_takes_features_with_geometries_only(exports: Exports) -> None:
    assert "1 have none or an empty one: give without_geometry skip" in exports.refusal(format="flatgeobuf")
    result = exports.write(format="flatgeobuf", without_geometry="skip", columns=["NAME", "big"])
    info = pyogrio.read_info(exports.file(result))
    assert (info["features"], info["crs"], list(info["fields"])) == (5, "EPSG:3857", ["name", "big"])
    assert info["capabilities"]["fast_spatial_filter"]


SELECTED: list[tuple[dict[str, Any], list[int | None]]] = [
    ({"where": {"op": "=", "args": [{"property": "big"}, "9007199254740995"]}}, [2]),
    ({"where": "whole BETWEEN 2 AND 4 AND NOT flag = true"}, [3]),
    ({"where": "name LIKE 'name %' AND whole IN (1, 5)"}, [1, 5]),
    ({"where": "casei(name) = casei('NAME 3') OR whole + 1 = 2"}, [1, 3]),
    ({"where": "moment > TIMESTAMP('2024-02-29T10:00:00Z') AND day = DATE('2024-02-29') AND flag"}, [2, 4]),
    ({"where": "\"we \"\"ird\" = 'x''y' AND whole < 2"}, [1]),
    ({"where": "geom IS NULL"}, [None]),
    ({"where": "S_INTERSECTS(geom, POLYGON((0.01 0, 0.03 0, 0.03 0.03, 0.01 0.03, 0.01 0)))"}, [2, 3]),
    ({"bbox": [0.01, 0.0, 0.03, 0.03]}, [2, 3]),
    ({"where": "name = 'x'' OR 1=1; DROP TABLE features.typed; --'"}, []),
]


def test_conditions_and_areas_select(exports: Exports) -> None:
    found = []
    for number, (given, _) in enumerate(SELECTED):
        result = exports.write(columns=["whole"], path_template=f"{number}.parquet", **given)
        numbers = pyarrow.parquet.read_table(exports.file(result))["whole"].to_pylist()
        assert result["features"] == len(numbers)
        found.append((given, sorted(numbers)))
    assert found == SELECTED


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"source_table": "gone"}, "no layer features.gone was loaded; there are features.typed"),
    ({"columns": ["nope"]}, "columns: there is no column 'nope' in fid, flag"),
    ({"where": "nope = 1"}, "where: there is no column 'nope'"),
    ({"where": "name > 3"}, "where: > compares number and text"),
    ({"where": "numbers = 3"}, "where: = compares number and what cannot be compared"),
    ({"where": "day > 'some day'"}, "PostgreSQL cannot read it: invalid input syntax for type date"),
    ({"where": "whole / 0 = 1"}, "PostgreSQL cannot read it: division by zero"),
    ({"target_container": "no-such-container"}, "target_container: "),
]


def test_what_cannot_be_exported_is_refused_with_the_reason(exports: Exports) -> None:
    said = [(given, exports.refusal(**given)) for given, _ in REFUSED]
    missing = [
        (given, told) for (given, told), (_, reason) in zip(said, REFUSED, strict=True) if reason not in told
    ]
    assert missing == []
    assert exports.blobs(exports.depot.container) == []


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(exports: Exports) -> None:
    exports.depot.put("features/typed.parquet", "somebody's")
    result = exports.write()
    assert (result["status"], result["features"]) == ("unchanged", 0)
    assert exports.depot.blobs.read(exports.depot.container, "features/typed.parquet") == b"somebody's"
    assert exports.write(overwrite="always")["features"] == 6
    assert pyarrow.parquet.read_table(exports.file(exports.write(path_template="b.parquet"))).num_rows == 6
    assert exports.scratch() == []


def test_an_attempt_that_died_after_the_copy_is_followed_by_one_that_replaces_its_file(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = ExportBlobs.publish_file
    names: list[str] = []

    def dies_once(self: ExportBlobs, *args: Any, **given: Any) -> bool:
        answer = written(self, *args, **given)
        names.append(args[1])
        if len(names) == 1:
            raise ServiceUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(ExportBlobs, "publish_file", dies_once)
    result = exports.write()
    assert names == ["features/typed.parquet"] * 2
    assert (result["status"], result["features"]) == ("written", 6)


def test_a_table_that_is_replaced_before_it_is_read_is_not_taken_for_the_one_that_was_found(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = exports.depot.world
    measure = PostgresLayerReader.measure

    def then_replaced(self: PostgresLayerReader, query: Any) -> Any:
        found = measure(self, query)
        world.rows("UPDATE geo.layers SET srid = 4326", fetch=False)
        return found

    monkeypatch.setattr(PostgresLayerReader, "measure", then_replaced)
    assert "the table was replaced since it was looked at" in exports.refusal()
    assert exports.blobs(exports.depot.container) == []
