"""Metadata in domains of their own: what a COG can hold is taken along, the rest is named.

GDAL takes along the domains that it knows, but leaves XMP out of virtual rasters. Others are copied into a
TIFF on demand (https://gdal.org/en/stable/drivers/raster/gtiff.html, COPY_SRC_MDD), and then GDAL 3.10 loses
the tags of bands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ProcessingInstruction, SubElement, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

XMP = "xml:XMP"
CARRIED_OTHERWISE = {"RPC", "COLOR_PROFILE", XMP}
"""By fields of their own."""
OF_THE_FILE = {"IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS", "OVERVIEWS", "GEOLOCATION", "TIFF"}
"""They say how a file is made, or name others."""
BESIDE = {"IMD"}
"""GDAL writes it into a file beside the TIFF, where nobody would find it."""


def kept_domains(dataset: DatasetReader) -> list[str]:
    """Whose tags a COG can hold: none where bands have tags, which count for more."""
    if any(dataset.tags(index) for index in dataset.indexes):
        return []
    return [domain for domain in _own_domains(dataset) if domain not in BESIDE and ":" not in domain]


def lost_domains(dataset: DatasetReader) -> list[str]:
    """Those of the source that its COG does not have."""
    kept = kept_domains(dataset)
    lost = [domain for domain in _own_domains(dataset) if domain not in kept]
    xmp = dataset.tags(ns=XMP).get(XMP)
    return sorted([*lost, XMP] if xmp and not _xml(xmp) else lost)


def add_domains(root: Element, dataset: DatasetReader) -> None:
    """Give the document of a dataset what GDAL leaves out of it."""
    there = {metadata.get("domain"): metadata for metadata in root.findall("Metadata")}
    for domain in BESIDE & there.keys():
        root.remove(there[domain])
    for domain in kept_domains(dataset):
        if domain not in there:
            metadata = Element("Metadata", {"domain": domain})
            root.insert(0, metadata)
            for key, value in dataset.tags(ns=domain).items():
                SubElement(metadata, "MDI", {"key": key}).text = value
    xmp = _xml(dataset.tags(ns=XMP).get(XMP, ""))
    if xmp and XMP not in there:
        metadata = Element("Metadata", {"domain": XMP, "format": "xml"})
        metadata.extend(xmp)
        root.insert(0, metadata)


def creation_options(root: Element) -> dict[str, str]:
    """The creation option with which GDAL copies the domains of a document, where it has any."""
    known = {None, *CARRIED_OTHERWISE, *OF_THE_FILE}
    return (
        {"COPY_SRC_MDD": "YES"} if {item.get("domain") for item in root.findall("Metadata")} - known else {}
    )


def _own_domains(dataset: DatasetReader) -> list[str]:
    return [name for name in dataset.tag_namespaces() if name not in CARRIED_OTHERWISE | OF_THE_FILE]


def _xml(text: str) -> list[Element[Any]]:
    """An XML document as it is written, with its prefixes and instructions; nothing where it is none."""
    builder = TreeBuilder()
    before: list[Element[Any]] = []
    after: list[Element[Any]] = []
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)
        if depth == 0:
            after.append(builder.close())

    def data(characters: str) -> None:
        if depth:
            builder.data(characters)

    def instruction(target: str, content: str) -> None:
        if depth == 0:
            (after or before).append(ProcessingInstruction(target, content))

    def doctype(*_: object) -> None:
        raise ExpatError("entities are not expanded")

    # Without namespaces, so that names stay as they are.
    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.ProcessingInstructionHandler = data, instruction
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except ExpatError:
        return []
    return [*before, *after]
