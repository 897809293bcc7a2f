"""Builds the STAC 1.1 item of a raster, on pystac."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import JsonValue

from services.raster_report import BandStatistics

from .acquisition import Acquisition
from .bands import EO, RASTER, bands, sampling, spatial_resolution
from .footprint import Footprint
from .lineage import PROCESSING, Lineage

if TYPE_CHECKING:
    from pystac import Item
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOTIFF_TYPE = "image/tiff; application=geotiff"
PNG_TYPE = "image/png"
MULTIHASH_PREFIXES = {"md5": "d50110", "sha1": "1114", "sha256": "1220"}
"""Code of the function and length in bytes, as hex varints.

https://github.com/multiformats/multicodec/blob/master/table.csv
"""
LONGEST_ID = 200
_UNSAFE = re.compile(r"[^\w.~-]+")


@dataclass(frozen=True)
class File:
    """A file that an item refers to. `href` has no token; `size` in bytes, `digest` is hex."""

    href: str
    media_type: str = COG_TYPE
    size: int | None = None
    digest: str | None = None
    algorithm: Literal["md5", "sha1", "sha256"] = "md5"
    title: str | None = None

    def __post_init__(self) -> None:
        if "sig" in parse_qs(urlsplit(self.href).query):
            raise ValueError("href: has a shared access signature, which is nothing to publish")

    @property
    def multihash(self) -> str | None:
        """`file:checksum`."""
        return None if self.digest is None else MULTIHASH_PREFIXES[self.algorithm] + self.digest.lower()


@dataclass(frozen=True)
class ItemLink:
    """A link of an item to something else."""

    rel: str
    href: str
    media_type: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class CollectionLink:
    """The collection that an item is in: its id, and where its document is."""

    id: str
    href: str


def build_item(
    dataset: DatasetReader,
    item_id: str,
    *,
    data: File,
    time: Acquisition,
    footprint: Footprint,
    thumbnail: File | None = None,
    collection: CollectionLink | None = None,
    lineage: Lineage | None = None,
    statistics: Sequence[BandStatistics | None] | None = None,
    title: str | None = None,
    links: Sequence[ItemLink] = (),
) -> dict[str, JsonValue]:
    """The item of an open raster, ready to be written as JSON.

    Its id is `safe_id(item_id)`. What is not sure about its place and time is said in its description.
    Without a place it has a null geometry and no box, which is valid STAC, though pgstac takes no such item.
    """
    import pystac

    item = pystac.Item(
        id=safe_id(item_id),
        geometry=footprint.geometry,
        bbox=footprint.bbox if footprint.geometry is not None else None,
        datetime=time.instant,
        start_datetime=time.start,
        end_datetime=time.end,
        properties={},
        collection=collection.id if collection is not None else None,
    )
    if title is not None:
        item.properties["title"] = title
    notes = _notes(footprint, time)
    if notes:
        item.properties["description"] = " ".join(f"{_capital(note)}." for note in notes)
    _add_projection(item, dataset)
    _add_data(item, dataset, data, statistics)
    if thumbnail is not None:
        _add_file(item, "thumbnail", thumbnail, ["thumbnail"])
    if lineage is not None:
        _add_lineage(item, lineage)
    if collection is not None:
        item.add_link(pystac.Link("collection", collection.href, "application/json"))
    for link in links:
        item.add_link(pystac.Link(link.rel, link.href, link.media_type, link.title))
    return cast("dict[str, JsonValue]", item.to_dict(include_self_link=False, transform_hrefs=False))


def safe_id(text: str) -> str:
    """The text as an item's id: letters, digits and . _ ~ - only, different for different texts.

    STAC's best practices ask for ids without "/" and ":", since they become parts of URLs and file names.
    """
    safe = _UNSAFE.sub("-", text).strip("-") or "item"
    if safe == text and len(text) <= LONGEST_ID:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{safe[: LONGEST_ID - len(mark) - 1]}-{mark}"


def _notes(footprint: Footprint, time: Acquisition) -> list[str]:
    notes = list(footprint.notes)
    if footprint.geometry is None:
        notes.insert(0, f"it has no geometry: {footprint.reason}")
    if time.source == "last_modified":
        notes.append("its datetime is that of the file, since nothing says when it was acquired")
    return notes


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _add_projection(item: Item, dataset: DatasetReader) -> None:
    from pystac.extensions.projection import ProjectionExtension

    extension = ProjectionExtension.ext(item, add_if_missing=True)
    located = not dataset.transform.is_identity
    crs = dataset.crs if located or not dataset.gcps[1] else dataset.gcps[1]
    item.properties["proj:code"] = None
    if crs:
        item.properties["proj:code"] = code = _code(crs)
        if code is None:
            extension.wkt2 = crs.to_wkt(version="WKT2_2019")
            extension.projjson = crs.to_dict(projjson=True)
    extension.shape = [dataset.height, dataset.width]
    corners = [
        dataset.transform * corner
        for corner in ((0, 0), (dataset.width, 0), (0, dataset.height), (dataset.width, dataset.height))
    ]
    xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    if located and all(map(math.isfinite, (*xs, *ys))):
        extension.transform = [float(value) for value in tuple(dataset.transform)[:6]]
        extension.bbox = [min(xs), min(ys), max(xs), max(ys)]


def _code(crs: CRS) -> str | None:
    """EPSG's code, else another authority's."""
    return _code_of(crs.to_wkt(version="WKT2_2019"))


# PROJ compares a CRS without a code with all that it knows: half a second, for files that mostly share it.
@lru_cache(maxsize=256)
def _code_of(wkt: str) -> str | None:
    from rasterio.crs import CRS

    crs = CRS.from_wkt(wkt)
    epsg = crs.to_epsg()
    if epsg is not None:
        return f"EPSG:{epsg}"
    authority = crs.to_authority()
    return ":".join(authority) if authority else None


def _add_data(
    item: Item, dataset: DatasetReader, data: File, statistics: Sequence[BandStatistics | None] | None
) -> None:
    made = bands(dataset, statistics)
    fields: dict[str, JsonValue] = {"raster:sampling": sampling(dataset)}
    resolution = spatial_resolution(dataset)
    if resolution is not None:
        fields["raster:spatial_resolution"] = resolution
    if made:
        fields["bands"] = cast("JsonValue", made)
    _add_file(item, "data", data, ["data"], fields)
    item.stac_extensions.append(RASTER)
    if any("eo:common_name" in band for band in made):
        item.stac_extensions.append(EO)


def _add_file(
    item: Item, key: str, file: File, roles: list[str], fields: dict[str, JsonValue] | None = None
) -> None:
    from pystac import Asset
    from pystac.extensions.file import FileExtension

    asset = Asset(file.href, title=file.title, media_type=file.media_type, roles=roles, extra_fields=fields)
    item.add_asset(key, asset)
    if file.size is not None or file.digest is not None:
        extension = FileExtension.ext(asset, add_if_missing=True)
        extension.size = file.size
        extension.checksum = file.multihash


def _add_lineage(item: Item, lineage: Lineage) -> None:
    from pystac.utils import datetime_to_str

    processed = datetime_to_str(lineage.processed)
    item.stac_extensions.append(PROCESSING)
    item.properties |= {
        "created": processed,
        "updated": processed,
        "processing:lineage": lineage.text(),
        "processing:datetime": processed,
        "processing:software": dict(lineage.software),
    }
