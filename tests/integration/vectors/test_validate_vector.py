"""validate_vector on a real blob service: reports of files, without a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import shapely

from .conftest import Depot

FEATURE = '{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}'


def geojson(*geometries: Any, **members: Any) -> str:
    made = [
        {"type": "Feature", "geometry": shape, "properties": {"name": f"n{number}"}}
        for number, shape in enumerate(geometries)
    ]
    return json.dumps({"type": "FeatureCollection", "features": made, **members})


def polygon(*ring: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def validated(depot: Depot, **given: Any) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A job's result, and those of its files by name."""
    asked = {"container": depot.container, "max_failed_fraction": 1.0} | given
    job = depot.world.run(depot.world.submit("validate_vector", **asked).job_id, 60)
    assert job["status"] == "completed", [task["error"] for task in depot.world.tasks(job["job_id"])]
    return job["result"], {
        task["result"]["name"]: task["result"] for task in depot.world.tasks(job["job_id"], 2)
    }


def test_each_file_is_reported_and_nothing_is_loaded(depot: Depot, tmp_path: Path) -> None:
    bowtie = polygon((0, 0), (2, 2), (0, 2), (2, 0))
    far = {"type": "Point", "coordinates": [10, 95]}
    point = {"type": "Point", "coordinates": [1, 2]}
    depot.put("good.geojson", geojson(point))
    depot.put("sick.geojson", geojson(polygon((0, 0), (1, 0), (1, 1)), bowtie, bowtie, None, far))
    depot.put("broken.geojson", '{"type": "FeatureCollection", "features": [{')
    depot.put("half.geojsonl", f"{FEATURE}\nno\n")
    depot.put("words.csv", "id,wkt\n1,POINT (1 2)\n2,nonsense\n")
    depot.put("link.vrt", "<OGRVRTDataSource/>")
    points = pyarrow.table({"a": [1, 2], "geometry": list(shapely.to_wkb(shapely.points([[1, 2], [3, 4]])))})
    pyogrio.write_arrow(
        points, tmp_path / "nowhere.shp", geometry_name="geometry", geometry_type="Point", encoding="UTF-8"
    )
    (tmp_path / "nowhere.prj").unlink(missing_ok=True)
    depot.put_file(tmp_path / "nowhere.shp")
    names = ["good.geojson", "sick.geojson", "broken.geojson", "half.geojsonl", "words.csv", "link.vrt"]
    result, files = validated(depot, blobs=[*names, "nowhere.shp", "gone.gpkg", "gone.gdb"])
    assert result["verdicts"] == {"valid": 1, "invalid": 5, "not_vector": 1, "missing": 2}
    assert (result["layers"], result["features"]) == (5, 10)
    assert (result["null_geometries"], result["invalid_geometries"], result["rejected"]) == (2, 2, 2)
    [good] = files["good.geojson"]["layers"]
    assert (good["crs"], good["features"], good["geometry_types"]) == ("EPSG:4326", 1, {"Point": 1})
    assert (good["extent"], good["fields"]) == ([1, 2, 1, 2], [{"name": "name", "type": "text"}])
    [sick] = files["sick.geojson"]["layers"]
    assert (sick["geometry_types"], sick["null_geometries"]) == ({"Polygon": 3, "Point": 1}, 1)
    assert (sick["invalid_reasons"], sick["out_of_range"]) == ({"Self-intersection": 2}, 1)
    assert sick["invalid_examples"][0] == {"feature_id": "1", "reason": "Self-intersection", "place": [1, 1]}
    assert sick["rejected_examples"][0]["feature_id"] == "4"
    assert (sick["would_load"]["read"], sick["would_load"]["loaded"], sick["would_load"]["repaired"]) == (
        5,
        4,
        2,
    )
    assert "GDAL cannot read it" in files["broken.geojson"]["reasons"][0]
    assert "record 2 is not JSON" in files["half.geojsonl"]["reasons"][0]
    [words] = files["words.csv"]["layers"]
    assert (words["unreadable_geometries"], words["rejected_reasons"]) == (
        1,
        {"… cannot be read as a geometry": 1},
    )
    [nowhere] = files["nowhere.shp"]["layers"]
    assert (nowhere["crs"], nowhere["features"], nowhere["extent"]) == (None, 2, [1, 2, 3, 4])
    assert "names no CRS: give assume_crs" in nowhere["refused"]
    assert depot.world.rows("SELECT 1 FROM geo.layers UNION ALL SELECT 1 FROM geo.staging_tables") == []
    assert depot.world.rows("SELECT 1 FROM pg_tables WHERE schemaname IN ('features', 'geo_staging')") == []


def test_what_is_rejected_depends_on_how_a_load_would_be_asked(depot: Depot) -> None:
    depot.put("a.geojson", geojson(polygon((0, 0), (2, 2), (0, 2), (2, 0)), None))
    _, files = validated(depot, blob="a.geojson", repair="drop", null_geometries="reject")
    [layer] = files["a.geojson"]["layers"]
    assert layer["rejected_reasons"] == {
        "is not valid: Self-intersection[… …]": 1,
        "the feature has no geometry": 1,
    }


def test_curves_are_looked_at_as_lines(depot: Depot) -> None:
    depot.put("a.csv", 'id,wkt\n1,"CURVEPOLYGON (CIRCULARSTRING (0 0, 1 1, 2 0, 1 -1, 0 0))"\n')
    _, files = validated(depot, blob="a.csv", assume_crs="EPSG:3857")
    [layer] = files["a.csv"]["layers"]
    assert files["a.csv"]["verdict"] == "valid", files
    assert (layer["geometry_types"], layer["would_load"]["linearised"]) == ({"CurvePolygon": 1}, 1)
