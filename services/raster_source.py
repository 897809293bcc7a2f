"""What it costs to read pixels of a stored raster: of how many bytes, in which parts."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

RANDOM_ACCESS = {"GTiff", "JP2OpenJPEG", "HFA", "BMP", "HDF5", "HDF5Image", "SRTMHGT", "DTED"}
"""Formats whose blocks can be fetched one by one; the others are one stream or one message."""
JPEG2000_HEAD_BYTES = 64 * 1024
"""In front of the codestream are boxes: colours, and the CRS as XML."""
MAX_COUNTED_BLOCKS = 20_000
_START_AND_SIZE_MARKERS = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class RasterSource:
    """A raster where it is stored.

    `size` is in bytes, sidecars included; `fetched` says how many of them were downloaded so far, and
    `head` downloads the first ones.
    """

    path: str
    size: int
    fetched: Callable[[], int]
    head: Callable[[int], bytes]


def block_count(dataset: DatasetReader) -> int:
    """The number of blocks of the first band."""
    height, width = dataset.block_shapes[0]
    blocks: int = math.ceil(dataset.height / height) * math.ceil(dataset.width / width)
    return blocks


def stored_bytes(dataset: DatasetReader) -> int | None:
    """Bytes of all blocks of a GeoTIFF or of one of its overviews; None where they cannot be counted.

    Of bands that are stored apart, the first stands for all.
    """
    if dataset.driver != "GTiff" or block_count(dataset) > MAX_COUNTED_BLOCKS:
        return None
    height, width = dataset.block_shapes[0]
    lengths = (
        dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1)
        for y in range(math.ceil(dataset.height / height))
        for x in range(math.ceil(dataset.width / width))
    )
    apart = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "BAND"
    return sum(int(length or 0) for length in lengths) * (dataset.count if apart else 1)


def jpeg2000_tile_count(head: bytes) -> int | None:
    """The number of tiles, each of which is fetched whole; None if the start of the codestream is missing.

    ISO/IEC 15444-1, A.5.1: the SIZ marker segment directly follows the SOC marker.
    """
    start = head.find(_START_AND_SIZE_MARKERS)
    if start < 0 or len(head) < start + 40:
        return None
    # After the markers come Lsiz and Rsiz, two bytes each.
    width, height, _, _, tile_width, tile_height, left, top = struct.unpack_from(">8I", head, start + 8)
    if not tile_width or not tile_height:
        return None
    tiles: int = math.ceil((width - left) / tile_width) * math.ceil((height - top) / tile_height)
    return tiles
