"""KML and GML with coordinates, numbers and times that are none, of which GDAL makes others."""

from __future__ import annotations

from pathlib import Path

import pytest

from interfaces.errors import PermanentTaskError
from services.vector import xml_values

from .loads import written

KML = '<?xml version="1.0" encoding="{}"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>{}</Document></kml>'
SCHEMA = '<Schema id="s">{}</Schema>'.format(
    "".join(
        f'<SimpleField name="{name}" type="{kind}"/>'
        for name, kind in {"i": "int", "u": "uint", "f": "float", "b": "bool", "t": "string"}.items()
    )
)
GML = """<?xml version="1.0"?><ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/"
 xmlns:gml="http://www.opengis.net/gml/3.2">{}</ogr:FeatureCollection>"""
XSD = """<?xml version="1.0"?><xs:schema targetNamespace="http://ogr.maptools.org/"
 elementFormDefault="qualified" xmlns:ogr="http://ogr.maptools.org/" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:gml="http://www.opengis.net/gml/3.2">
<xs:import namespace="http://www.opengis.net/gml/3.2"/>
<xs:element name="a" type="ogr:a_Type" substitutionGroup="gml:AbstractFeature"/>
<xs:complexType name="a_Type"><xs:complexContent><xs:extension base="gml:AbstractFeatureType"><xs:sequence>
<xs:element name="geom" type="gml:PointPropertyType" minOccurs="0"/>{}
</xs:sequence></xs:extension></xs:complexContent></xs:complexType></xs:schema>"""


def placemark(content: str = "", coordinates: str = "1,2", attributes: str = "") -> str:
    point = f"<Point><coordinates>{coordinates}</coordinates></Point>"
    return f"<Placemark{attributes}>{content}{point}</Placemark>"


def simple(name: str, value: str) -> str:
    data = f'<SimpleData name="{name}">{value}</SimpleData>'
    return f'<ExtendedData><SchemaData schemaUrl="#s">{data}</SchemaData></ExtendedData>'


def kml(path: Path, *placemarks: str, encoding: str = "utf-8") -> Path:
    path.write_text(KML.format(encoding, SCHEMA + "".join(placemarks)), encoding=encoding)
    return path


def gml(path: Path, *positions: str, **columns: str) -> Path:
    """Features with these positions, and one with each of the columns."""
    members = [(position, "") for position in positions]
    members += [("1 2", f"<ogr:{name}>{value}</ogr:{name}>") for name, value in columns.items()]
    text = "".join(
        f'<gml:featureMember><ogr:a gml:id="a.{number}"><ogr:geom><gml:Point srsName="EPSG:25832"><gml:pos>'
        f"{position}</gml:pos></gml:Point></ogr:geom>{column}</ogr:a></gml:featureMember>"
        for number, (position, column) in enumerate(members)
    )
    path.write_text(GML.format(text))
    return path


@pytest.mark.parametrize(
    "coordinates", ["abc", "1", "1,abc", "1 2", "1,2,abc", "1,2°", "1,5,2,5", "nan,2", "1,2 3,4"]
)
def test_a_placemark_with_coordinates_that_are_none_is_rejected(tmp_path: Path, coordinates: str) -> None:
    good = placemark("<name>a</name>", attributes=' id="x"')
    made = written(kml(tmp_path / "a.kml", good, placemark("", coordinates, " id='y'"), good))
    assert made.reasons() == {"2": f"its geometry cannot be read: {coordinates!r} are no coordinates"}
    assert made.column("id") == ["x", "x"]


@pytest.mark.parametrize("coordinates", ["1,2", " 1,2,3\n", "1, 2", "+1.,-.2e1", "", "1,2,"])
def test_coordinates_as_they_are_written_are_read(tmp_path: Path, coordinates: str) -> None:
    assert written(kml(tmp_path / "a.kml", placemark("", coordinates))).counts.loaded == 1


def test_lines_lose_no_vertex(tmp_path: Path) -> None:
    lines = [
        f"<Placemark><LineString><coordinates>{text}</coordinates></LineString></Placemark>"
        for text in ("1,2 3,4\n 5,6", "1,2 x,4 5,6", "1,2,3,4 5,6", "1,2; 3,4")
    ]
    assert list(written(kml(tmp_path / "a.kml", *lines)).reasons()) == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("i", "abc", "integer"),
        ("i", "3000000000", "integer"),
        ("u", "1.5", "bigint"),
        ("f", "1,5", "double"),
        ("b", "maybe", "boolean"),
    ],
)
def test_a_value_that_is_not_of_its_declared_type_is_rejected(
    tmp_path: Path, name: str, value: str, kind: str
) -> None:
    rest = [
        simple("i", " 5 "),
        simple("b", "true"),
        simple("f", "1.5"),
        simple("t", "abc"),
        simple("i", ""),
        simple("b", " "),
    ]
    rest[-1] = rest[-1].replace("> </SimpleData>", "/>")
    made = written(kml(tmp_path / "a.kml", placemark(simple(name, value)), *map(placemark, rest)))
    assert made.reasons() == {"1": f"column {name!r}: {value!r} is no {kind}"}
    assert (made.column("i"), made.column("b")[1], made.column("f")[2], made.column("t")[3]) == (
        *([5, None, None, None, None, None], True, 1.5, "abc"),
    )


@pytest.mark.parametrize("value", ["24", "2024-13", "noon", "2024-02-30"])
def test_a_time_of_which_no_day_is_given_is_rejected(tmp_path: Path, value: str) -> None:
    times = [
        f"<TimeSpan><begin>{one}</begin></TimeSpan>" for one in (value, "2024-05-01", "2024-05-01T10:00:00Z")
    ]
    made = written(kml(tmp_path / "a.kml", *map(placemark, times)))
    assert made.reasons() == {"1": f"column 'begin': {value!r} is no whole date"}
    assert [str(one) for one in made.column("begin")] == [
        "2024-05-01 00:00:00+00:00",
        "2024-05-01 10:00:00+00:00",
    ]


def test_a_year_or_a_month_is_its_first_day(tmp_path: Path) -> None:
    spans = [
        "<TimeSpan><begin>1959</begin><end> 1960-07 </end></TimeSpan>",
        "<TimeSpan><begin>1959-02-03</begin></TimeSpan>",
    ]
    made = written(kml(tmp_path / "a.kml", *map(placemark, spans)))
    assert made.reasons() == {}
    assert [str(one)[:10] for one in made.column("begin")] == ["1959-01-01", "1959-02-03"]
    assert [str(one)[:10] for one in made.column("end_")] == ["1960-07-01", "None"]


def test_a_column_that_is_left_out_rejects_nothing(tmp_path: Path) -> None:
    time = "<TimeStamp><when>noon</when></TimeStamp>"
    path = kml(tmp_path / "a.kml", placemark(f"<name>x</name>{time}"), placemark(time, "y"))
    made = written(path, columns=["Name"])
    assert (made.column("name"), list(made.reasons())) == (["x"], ["2"])
    assert list(written(path, columns=["timestamp"]).reasons()) == ["1", "2"]


def test_other_encodings_are_changed_byte_by_byte_or_refused(tmp_path: Path) -> None:
    names = [placemark("<name>Größe</name>"), placemark("<name>Länge</name>", "ä")]
    made = written(kml(tmp_path / "a.kml", *names, encoding="iso-8859-1"))
    assert (made.column("name"), list(made.reasons())) == (["Größe"], ["2"])
    with pytest.raises(PermanentTaskError, match="'ä' are no coordinates"):
        written(kml(tmp_path / "b.kml", *names, encoding="utf-16"))


@pytest.mark.parametrize("position", ["abc", "1", "1 abc", "1 2 3 4", "1,2", "1 2°"])
def test_a_gml_loses_no_feature_whose_position_is_none(tmp_path: Path, position: str) -> None:
    made = written(gml(tmp_path / "a.gml", "1 2", position, "3 4"))
    assert list(made.reasons().values()) == [f"its geometry cannot be read: {position!r} are no coordinates"]
    assert made.column("gml_id") == ["a.0", "a.2"]


@pytest.mark.parametrize(
    ("type_", "value", "good", "reason"),
    [
        ("integer", "abc", "1", "integer"),
        ("short", "70000", "1", "smallint"),
        ("double", "1,5", "1.5", "double"),
        ("boolean", "maybe", "true", "boolean"),
        ("date", "2024", "2024-05-01Z", "whole date"),
        ("dateTime", "2024-02-30T00:00:00", "2024-05-01T00:00:00", "whole date"),
    ],
)
def test_values_of_a_gml_are_of_the_types_of_its_schema(
    tmp_path: Path, type_: str, value: str, good: str, reason: str
) -> None:
    element = f'<xs:element name="{{}}" type="xs:{type_}" minOccurs="0"/>'
    (tmp_path / "a.xsd").write_text(XSD.format(element.format("v") + element.format("w")))
    made = written(gml(tmp_path / "a.gml", v=value, w=good), assume_crs="EPSG:25832")
    assert list(made.reasons().values()) == [f"column 'v': {value!r} is no {reason}"]
    assert [one is not None for one in made.column("w")] == [True]


def test_a_document_is_marked_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_values, "BLOCK", 100)
    odd = [
        '<Placemark id="{0}"><Point><coordinates>a,{0}</coordinates></Point></Placemark>',
        simple("i", "x"),
    ]
    every = [
        placemark(f"<description>{number}</description>" + (simple("i", "") if number % 3 else ""))
        if number % 4
        else (odd[0].format(number) if number % 8 else placemark(odd[1]))
        for number in range(64)
    ]
    path = kml(tmp_path / "a.kml", *every)
    before, place = path.read_text(), path.stat().st_ino
    xml_values.mark(path, "LIBKML", {})
    assert path.stat().st_ino == place
    assert [one.name for one in tmp_path.iterdir()] == ["a.kml"]
    assert path.read_text().count("cannot be read: {") == 16
    assert before.partition("<Placemark")[0] == path.read_text().partition("<Placemark")[0]
    made = written(kml(path, *every))
    assert [int(one) - 1 for one in made.reasons()] == list(range(0, 64, 4))
    assert made.column("description") == [str(number) for number in range(64) if number % 4]


def test_a_document_with_too_many_marks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_values, "MOST_ADDED", 100)
    with pytest.raises(PermanentTaskError, match="cannot be read as they are written"):
        xml_values.mark(kml(tmp_path / "a.kml", placemark("", "abc")), "LIBKML", {})
