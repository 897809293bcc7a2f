"""How many features of GML and GPX are read together, by how large the largest is as XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from interfaces.errors import PermanentTaskError
from services.vector import chunking, screening, xml_records
from services.vector.parts import Part, screened
from services.vector.xml_records import Records


def nothing() -> None: ...


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in place of megabytes."""
    monkeypatch.setattr(chunking, "TOGETHER", 16_000)
    monkeypatch.setattr(xml_records, "MAX_FEATURE_BYTES", 32_000)


def rows(path: Path, xml: str, driver: str = "GML") -> int | None:
    path.write_text(f'<?xml version="1.0"?>{xml}')
    found = screened(Part(path, driver, "a"), None, nothing).together
    return None if found is None else found.rows


def feature(size: int, name: str = "road") -> str:
    """Of so many bytes, in small pieces."""
    piece = "<said>lorem ipsum</said><empty/>"
    whole = piece * ((size - 50) // len(piece))
    left = size - len(whole) - 2 * len(name) - 5
    return f"<{name}>{whole}{'x' * left}</{name}>"


@pytest.mark.parametrize("block", [100, 1024**2])
@pytest.mark.parametrize(
    "member",
    ["<gml:featureMember>{}</gml:featureMember>", "<gml:featureMembers>{}{}</gml:featureMembers>", "{}"],
)
def test_as_many_are_read_together_as_if_all_were_as_large_as_the_largest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, block: int
) -> None:
    monkeypatch.setattr(screening, "BLOCK", block)
    members = [member.format(feature(200), feature(300)) for _ in range(100)]
    members[40:50] = [member.format(feature(4_000), feature(250, "gml:surfaceMember"))] * 10
    xml = f'<gml:root xmlns:gml="a"><gml:boundedBy><a/></gml:boundedBy>{"".join(members)}</gml:root>'
    # To the beginning of its closing tag.
    assert rows(tmp_path / "a.gml", xml) == 4
    assert rows(tmp_path / "b.gml", "<a>" + "<b/>" * 6_000 + "</a>") == 4_000


@pytest.mark.parametrize("block", [1000, 1024**2])
def test_a_feature_that_is_too_large_is_refused_where_it_is_known_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(screening, "BLOCK", block)
    assert rows(tmp_path / "a.gml", f"<a><b>{feature(40_000)}</b></a>") == 1
    assert rows(tmp_path / "b.gml", f"<a><Members>{feature(32_000)}</Members></a>") == 1
    with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
        rows(tmp_path / "c.gml", f"<a><Members>{feature(200)}{feature(33_000)}</Members></a>")


def test_a_track_is_one_feature_and_a_document_that_is_read_as_a_whole_is_not_looked_at(
    tmp_path: Path,
) -> None:
    point = '<trkpt lat="1" lon="2"><ele>3</ele></trkpt>'
    xml = f"<gpx><trk><trkseg>{point * 400}</trkseg></trk></gpx>"
    assert rows(tmp_path / "a.gpx", xml, "GPX") == 1
    assert rows(tmp_path / "b.gpx", xml.replace(point, "", 300), "GPX") is None
    assert rows(tmp_path / "a.kml", xml, "LIBKML") is None


def test_what_is_cut_off_is_counted_as_far_as_it_goes() -> None:
    records = Records()
    records.start("a", 0)
    records.start("member", 10)
    records.start("road", 20)
    records.look(8_020)
    assert records.rows == 2
    with pytest.raises(PermanentTaskError, match="one feature is larger"):
        records.look(40_000)
