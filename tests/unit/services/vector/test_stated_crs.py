"""GeoJSON that names its CRS, as the specification of 2008 has it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError

from .loads import found_in, written

POINT = {"type": "Feature", "properties": {"a": 1}, "geometry": {"type": "Point", "coordinates": [1, 2]}}


def named(name: Any) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": name}}


def made(folder: Path, crs: Any, *, last: bool = False) -> Path:
    path = folder / "a.geojson"
    members = [("type", "FeatureCollection"), ("features", [POINT])]
    members.insert(2 if last else 1, ("crs", crs))
    path.write_text(json.dumps(dict(members)))
    return path


@pytest.mark.parametrize(
    ("crs", "code"),
    [
        (None, "EPSG:4326"),
        (named("urn:ogc:def:crs:OGC:1.3:CRS84"), "EPSG:4326"),
        (named("urn:ogc:def:crs:OGC::CRS84"), "OGC:CRS84"),
        (named("http://www.opengis.net/def/crs/OGC/1.3/CRS84"), "OGC:CRS84"),
        (named("CRS84"), "EPSG:4326"),
        (named("WGS 84"), "EPSG:4326"),
        (named("epsg:4326"), "EPSG:4326"),
        (named("EPSG::4326"), "EPSG:4326"),
        (named("urn:ogc:def:crs:EPSG:6.9:4326"), "EPSG:4326"),
        (named("http://www.opengis.net/def/crs/EPSG/0/4326"), "EPSG:4326"),
        (named("EPSG:3857"), "EPSG:3857"),
        (named("urn:ogc:def:crs:EPSG::25832"), "EPSG:25832"),
        (named("https://www.opengis.net/def/crs/EPSG/0/25832"), "EPSG:25832"),
        ({"type": "EPSG", "properties": {"code": 3857}}, "EPSG:3857"),
        ({"type": "OGC", "properties": {"urn": "urn:ogc:def:crs:OGC:1.3:CRS84"}}, "OGC:CRS84"),
        ("EPSG:4326", "EPSG:4326"),
    ],
)
def test_the_usual_spellings_of_a_crs_are_understood(tmp_path: Path, crs: Any, code: str) -> None:
    assert found_in(made(tmp_path, crs)).crs == code


@pytest.mark.parametrize(
    "crs",
    [
        named("no such thing"),
        named("EPSG:99999"),
        named("urn:ogc:def:crs:EPSG::99999"),
        named("ETRS89 / UTM zone 32N"),
        named("http://www.opengis.net/gml/srs/epsg.xml#3857"),
        named(""),
        named(3857),
        {"type": "EPSG", "properties": {"code": 99999}},
        "EPSG:3857",
        {},
    ],
    ids=str,
)
def test_a_crs_that_is_not_known_is_not_taken_for_degrees(tmp_path: Path, crs: Any) -> None:
    path = made(tmp_path, crs)
    with pytest.raises(PermanentTaskError, match=r"^layer 'a' names no CRS that .* a crs says .*assume_crs$"):
        found_in(path)
    found = found_in(path, assume_crs="EPSG:25832")
    assert found.crs == "EPSG:25832"
    assert found.notes[0].endswith("EPSG:25832 is assumed")


def test_a_crs_after_the_features_counts_too(tmp_path: Path) -> None:
    with pytest.raises(PermanentTaskError, match=r'a crs says \{.*"name": "x"'):
        found_in(made(tmp_path, named("x"), last=True))
    assert found_in(made(tmp_path, named("EPSG:3857"), last=True)).crs == "EPSG:3857"


@pytest.mark.parametrize("place", ["feature", "geometry"])
def test_a_feature_in_a_crs_of_its_own_is_not_read_in_that_of_the_others(tmp_path: Path, place: str) -> None:
    own = {"crs": named("EPSG:3857")}
    shape: dict[str, Any] = {"type": "Point", "coordinates": [1, 2]}
    feature = POINT | own if place == "feature" else POINT | {"geometry": shape | own}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [POINT, feature]}))
    with pytest.raises(PermanentTaskError, match="names no CRS that all of it can be read in"):
        found_in(path)
    path.write_text(json.dumps({"type": "FeatureCollection", **own, "features": [feature]}))
    assert found_in(path).crs == "EPSG:3857"


def test_an_attribute_called_crs_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    projjson = {"type": "ProjectedCRS", "name": "x"}
    features = [POINT | {"properties": {"crs": crs}} for crs in ("EPSG:3857", projjson, None)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert found_in(path).crs == "EPSG:4326"


def test_what_is_assumed_holds_in_the_load_too(tmp_path: Path) -> None:
    load = written(made(tmp_path, named("x")), assume_crs="EPSG:3857", target_crs="EPSG:4326")
    [geometry] = shapely.from_wkb(load.column("geom"))
    assert shapely.get_srid(geometry) == 4326
    assert shapely.get_coordinates(geometry)[0] == pytest.approx([1 / 111_319.5, 2 / 111_319.5], rel=1e-4)


@pytest.mark.parametrize("number", [0, -1])
def test_a_geopackage_that_says_it_has_no_crs_has_none(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.gpkg"
    point = pyarrow.array([shapely.to_wkb(shapely.Point(1, 2))], pyarrow.binary())
    table = pyarrow.table({"n": [1], "geom": point})
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326"}
    pyogrio.write_arrow(table, path, driver="GPKG", **asked)
    with closing(sqlite3.connect(path)) as database:
        for of_layers in ("gpkg_geometry_columns", "gpkg_contents"):
            database.execute(f"UPDATE {of_layers} SET srs_id = ?", [number])
        database.commit()
    with pytest.raises(PermanentTaskError, match="names no CRS: give assume_crs"):
        found_in(path)
    assert found_in(path, assume_crs="EPSG:25832").crs == "EPSG:25832"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["EPSG:25832", "EPSG:25833"], "names several CRS, 'EPSG:25832', 'EPSG:25833': give assume_crs"),
        (["EPSG:25832", ""], "names several CRS, 'EPSG:25832', '': give assume_crs"),
        ([None, None], "names no CRS: give assume_crs"),
    ],
)
def test_a_gml_whose_geometries_name_several_crs_says_which(
    tmp_path: Path, names: list[str | None], said: str
) -> None:
    path = tmp_path / "a.gml"
    members = "".join(
        f'<gml:featureMember><o:a gml:id="a.{number}"><o:geom><gml:Point'
        f"{'' if name is None else f' srsName={chr(34)}{name}{chr(34)}'}><gml:pos>1 2</gml:pos></gml:Point>"
        "</o:geom></o:a></gml:featureMember>"
        for number, name in enumerate(names)
    )
    spaces = 'xmlns:o="http://o.example/" xmlns:gml="http://www.opengis.net/gml/3.2"'
    path.write_text(f"<o:FeatureCollection {spaces}>{members}</o:FeatureCollection>")
    with pytest.raises(PermanentTaskError) as refused:
        found_in(path)
    assert refused.value.detail.endswith(said)
    assert found_in(path, assume_crs="EPSG:25832").notes == [
        said.replace(": give assume_crs", ": EPSG:25832 is assumed")
    ]


UTM, DEGREES = "EPSG:25832", "urn:ogc:def:crs:EPSG::4326"
SAME = "http://www.opengis.net/gml/srs/epsg.xml#25832"


def gml(path: Path, whole: str | None, *names: str | None) -> Path:
    """Points of these CRS, in a collection with a box of the one for all of it."""

    def said(name: str | None) -> str:
        return f' srsName="{name}"' if name else ""

    box = (
        f"<gml:boundedBy><gml:Envelope{said(whole)}><gml:lowerCorner>0 0</gml:lowerCorner>"
        "<gml:upperCorner>9 9</gml:upperCorner></gml:Envelope></gml:boundedBy>"
    )
    features = [
        f"<gml:featureMember><a><g><gml:Point{said(name)}><gml:pos>1 2</gml:pos></gml:Point></g></a>"
        "</gml:featureMember>"
        for name in names
    ]
    about = 'xmlns:gml="http://www.opengis.net/gml"'
    path.write_text(
        f"<gml:FeatureCollection {about}>{box if whole else ''}{''.join(features)}</gml:FeatureCollection>"
    )
    return path


@pytest.mark.parametrize(
    ("whole", "names", "reason"),
    [
        (None, [None, UTM], f"names no CRS but in some of its geometries, '{UTM}': give assume_crs"),
        (UTM, [None, DEGREES], f"names several CRS, '{UTM}', '{DEGREES}': give assume_crs"),
        (DEGREES, [UTM, UTM], f"names several CRS, '{UTM}', '{DEGREES}': give assume_crs"),
    ],
)
def test_gml_whose_geometries_are_not_of_one_crs_needs_one(
    tmp_path: Path, whole: str | None, names: list[str | None], reason: str
) -> None:
    path = gml(tmp_path / "a.gml", whole, *names)
    with pytest.raises(PermanentTaskError) as refused:
        found_in(path)
    assert str(refused.value) == f"layer 'a' {reason}"
    assert found_in(path, assume_crs="EPSG:3857").crs == "EPSG:3857"


@pytest.mark.parametrize(
    ("whole", "names"),
    [(UTM, [None, UTM, None]), (None, [UTM, UTM]), (SAME, [UTM, SAME]), (UTM, [None, SAME])],
)
def test_gml_that_names_one_crs_is_in_it(tmp_path: Path, whole: str | None, names: list[str | None]) -> None:
    assert found_in(gml(tmp_path / "a.gml", whole, *names)).crs == UTM
