"""What GeoJSON says of its CRS (`crs`, GeoJSON 2008, section 3), where GDAL takes it for another.

GDAL takes a name that it does not know for EPSG:4326, and passes over what features say for themselves,
without a word of either. RFC 7946 has no `crs`: without one, or with null, it is WGS 84.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from interfaces.errors import PermanentTaskError

from . import library
from .crs_codes import short_crs
from .parts import JSON
from .reading import Layer, own_crs
from .screening import CRS_MEMBER, FEATURES

BLOCK = 1024**2
HEAD_BYTES = 64 * 1024
LONGEST = 16 * 1024
"""Bytes of such a member, which may be WKT."""
NONE, SEVERAL = "names no CRS", "names several CRS"
"""Begin what is said of a layer without a CRS to go by."""
MOST_SPELLINGS = 20
"""Of one CRS in a file, each of which is asked about."""
FORMS = frozenset({"name", "epsg", "ogc"})
"""Types that GDAL knows; links are refused before."""
WGS84 = frozenset({"EPSG:4326", "OGC:CRS84"})
NAMES_OF_WGS84 = re.compile(
    r"(?:urn:(?:x-)?ogc:def:crs:)?(?:OGC:[\d.]*:?CRS84|CRS:?84|EPSG:[\d.]*:?4326|WGS ?84)"
    r"|https?://www\.opengis\.net/(?:def/crs/OGC/[\d.]+/CRS84|def/crs/EPSG/[\d.]+/4326|gml/srs/epsg\.xml#4326)",
    re.IGNORECASE,
)
"""Some of which PROJ does not know."""


def named_crs(layer: Layer, check: Callable[[], None]) -> tuple[str | None, str]:
    """The CRS of a layer, None where it names none that can be gone by; and what to say of it then."""
    own = own_crs(layer)
    if own is None and layer.part.driver == "GML":
        return None, _several(layer.part.path, check)
    if len(layer.crs_names) > 1 and any(not _is_same(name, own) for name in layer.crs_names):
        return None, _listed(sorted(layer.crs_names, key=str))
    said = _misread(layer.part.path, own, check) if layer.part.driver in JSON else None
    if said is None:
        return own, NONE
    return None, f"{NONE} that all of it can be read in: a crs says {said}"


SRS_NAME = re.compile(rb"""\ssrsName\s*=\s*(?:"([^"]*)"|'([^']*)')""")
LONGEST_NAME = 1024
EPSG = re.compile(r"https?://www\.opengis\.net/gml/srs/epsg\.xml#(\d+)", re.IGNORECASE)
"""A form that PROJ does not know (GML 2 and 3.1)."""


def _several(path: Path, check: Callable[[], None]) -> str:
    """What to say of a GML of which GDAL knows no CRS: which ones its geometries name."""
    names: dict[str, None] = {}
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            text = rest + block
            for match in SRS_NAME.finditer(text):
                name = (match[1] or match[2] or b"").decode("utf-8", "replace")
                if len(names) < MOST_SPELLINGS:
                    names.setdefault(name)
            rest = text[-LONGEST_NAME:]
    return _listed(names) if names else NONE


def _listed(names: Collection[str | None]) -> str:
    """What to say of CRS that are not one for all geometries."""
    named = [name for name in names if name is not None]
    shown = ", ".join(map(repr, named[:MOST_SPELLINGS]))[:300]
    return f"{SEVERAL}, {shown}" if len(named) > 1 else f"{NONE} but in some of its geometries, {shown}"


def _is_same(name: str | None, own: str | None) -> bool:
    """Whether GML means by a name what GDAL takes the layer for."""
    if name is None:
        return False
    known = EPSG.fullmatch(name)
    try:
        made = short_crs(f"EPSG:{known[1]}" if known else name)
    except PermanentTaskError:
        return False
    return made == own or {made, own} <= WGS84


def _misread(path: Path, read_as: str | None, check: Callable[[], None]) -> str | None:
    """The first `crs` in the file that is not the one it is `read_as`; None where there is none."""
    same: set[str] = set()
    for said in _said(path, check):
        shown = json.dumps(said, ensure_ascii=False)
        if shown in same:
            continue
        check()
        if len(same) >= MOST_SPELLINGS or _is_misread(said, read_as):
            return shown[:200]
        same.add(shown)
    return None


def _said(path: Path, check: Callable[[], None]) -> Iterator[Any]:
    """Of the collection in any form, if it comes before the features; in that of 2008 wherever it is."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        first = FEATURES.search(head)
        if first is not None:
            yield from _of_collection(head[: first.end()] + b"]}")
        file.seek(0)
        rest = b""
        while block := file.read(BLOCK):
            check()
            text = rest + block
            for match in CRS_MEMBER.finditer(text):
                said = _decoded(text[match.end() : match.end() + LONGEST])
                about = said.get("properties") if isinstance(said, dict) else None
                if isinstance(about, dict) and str(said.get("type")).lower() in FORMS:
                    yield said
            rest = text[-LONGEST:]


def _of_collection(text: bytes) -> Iterator[Any]:
    try:
        collection = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(collection, dict) and collection.get("crs") is not None:
        yield collection["crs"]


def _decoded(text: bytes) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))[0]
    except (ValueError, RecursionError):
        return None


def _is_misread(said: Any, read_as: str | None) -> bool:
    made = _read(said)
    if made != read_as and not {made, read_as} <= WGS84:
        return True
    return made in WGS84 and not _is_wgs84(said)


def _read(said: Any) -> str | None:
    """What GDAL makes of it."""
    document = {"type": "FeatureCollection", "crs": said, "features": []}
    pyogrio = library.pyogrio()
    with library.told("", "crs"):
        about = pyogrio.read_info(json.dumps(document).encode())
    return short_crs(about["crs"])


def _is_wgs84(said: Any) -> bool:
    about = said.get("properties") if isinstance(said, dict) else {"name": said}
    if not isinstance(about, dict):
        return False
    name = about.get("name", about.get("urn", f"EPSG:{about.get('code')}"))
    if not isinstance(name, str):
        return False
    if NAMES_OF_WGS84.fullmatch(name):
        return True
    try:
        return short_crs(name) in WGS84
    except PermanentTaskError:
        return False
