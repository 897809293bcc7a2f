"""Metadata in domains of their own: XMP and those that somebody made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy
import pytest
import rasterio
import rasterio.shutil

from services.cog.domains import add_domains, lost_domains
from tests.unit.services.rasters import write_raster

from .making import make, plan_of

XMP = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="a &amp; b"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
PIXELS = numpy.random.default_rng(1).integers(1, 250, (2, 700, 900), "uint8")


def with_xmp(path: Path) -> Path:
    """A TIFF with XMP, which GDAL writes from a virtual raster only."""
    plain, virtual = write_raster(path.with_name("plain.tif"), PIXELS), path.with_name("plain.vrt")
    rasterio.shutil.copy(plain, virtual, driver="VRT")
    document = virtual.read_text()
    at = document.index("<VRTRasterBand")
    xmp = f'<Metadata domain="xml:XMP" format="xml">{XMP}</Metadata>'
    virtual.write_text(document[:at] + xmp + document[at:])
    rasterio.shutil.copy(virtual, path, driver="GTiff")
    return path


def tagged(path: Path, band_tags: dict[str, str] | None = None) -> Path:
    """A TIFF with a domain that nobody knows."""
    write_raster(path, PIXELS)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(A="1")
        dataset.update_tags(ns="PROVIDER", orbit="12", look="left & right")
        dataset.update_tags(1, **(band_tags or {}))
    return path


def without_whitespace(xml: str) -> str:
    return "".join(xml.split())


@pytest.mark.parametrize("options", [{}, {"target_crs": "EPSG:3857"}], ids=["in place", "warped"])
@pytest.mark.parametrize("tile", [None, 512], ids=["at once", "in tiles"])
def test_xmp_is_kept_as_it_is_written(tmp_path: Path, options: dict[str, Any], tile: int | None) -> None:
    path = with_xmp(tmp_path / "a.tif")
    plan = plan_of(path, **options).model_copy(update={"tile_size": tile})
    with rasterio.open(path) as source, rasterio.open(make(plan, path)) as cog:
        kept = cog.tags(ns="xml:XMP")["xml:XMP"]
        assert without_whitespace(kept) == without_whitespace(source.tags(ns="xml:XMP")["xml:XMP"])
        assert 'dc:format="a &amp; b"' in kept


@pytest.mark.parametrize("options", [{}, {"target_crs": "EPSG:3857"}], ids=["in place", "warped"])
@pytest.mark.parametrize("tile", [None, 512], ids=["at once", "in tiles"])
def test_tags_of_other_domains_are_kept(tmp_path: Path, options: dict[str, Any], tile: int | None) -> None:
    path = tagged(tmp_path / "a.tif")
    plan = plan_of(path, **options).model_copy(update={"tile_size": tile})
    with rasterio.open(make(plan, path, {"LINEAGE_JOB": "7"})) as cog:
        assert cog.tags(ns="PROVIDER") == {"orbit": "12", "look": "left & right"}
        assert cog.tags().items() >= {"A": "1", "LINEAGE_JOB": "7"}.items()
    assert not any("domains" in note for note in plan.notes)


def test_tags_of_bands_count_for_more_than_other_domains_which_a_note_then_names(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.tif", {"wavelength": "0.6"})
    plan = plan_of(path)
    assert "metadata of these domains is not kept: PROVIDER" in plan.notes
    with rasterio.open(make(plan, path)) as cog:
        assert cog.tags(1) == {"wavelength": "0.6"}
        assert cog.tags(ns="PROVIDER") == {}


def test_what_gdal_would_write_into_a_file_beside_the_cog_is_left_out_and_named(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", PIXELS)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMD", version="R")
    plan = plan_of(path)
    assert any("not kept: IMD" in note for note in plan.notes)
    with rasterio.open(make(plan, path)) as cog:
        assert "IMD" not in cog.tag_namespaces()


class Described:
    """What is asked of a dataset whose XMP GDAL would not write."""

    indexes = (1,)

    def __init__(self, xmp: str) -> None:
        self._xmp = xmp

    def tag_namespaces(self) -> list[str]:
        return ["xml:XMP"]

    def tags(self, index: int = 0, ns: str = "") -> dict[str, str]:
        return {"xml:XMP": self._xmp} if ns == "xml:XMP" else {}


@pytest.mark.parametrize(
    "xmp",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        "<x><y></x>",
        "no XML",
    ],
)
def test_xmp_that_is_no_plain_xml_is_left_out_and_named(xmp: str) -> None:
    described: Any = Described(xmp)
    root = ElementTree.Element("VRTDataset")
    add_domains(root, described)
    assert list(root) == []
    assert lost_domains(described) == ["xml:XMP"]
