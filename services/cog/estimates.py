"""What a conversion takes at most: memory, temporary space, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interfaces.conversions import Estimate
from interfaces.errors import PermanentTaskError
from services.gdal_session import WHOLE_DRIVERS

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

MEGABYTE = 1024**2
PROCESS_BYTES = 256 * MEGABYTE
"""Interpreter, libraries and connections, before a pixel is read, and what many threads let lie unused."""
IN_MEMORY_BYTES = 32 * MEGABYTE
"""A source of so many bytes is fetched at once rather than by ranges: these are read once to convert it, and
once more to compare it with what was made."""
THREADS = 4
"""Taken for granted, so that a plan does not depend on who carries it out."""
NARROW = 4
"""Blocks of the source that are as wide as so many of the output are no strips."""
USUAL_CHUNK_BYTES = 10 * MEGABYTE
"""GDAL's default of what is read at once for overviews."""
MAX_CHUNK_BYTES = 128 * MEGABYTE
"""Of larger ones too few fit into the memory."""
OVERVIEW_CHUNKS = 5
"""Are in memory while overviews are made by four threads: measured with 12 bands of float64."""
OUTPUT_BYTES_PER_SECOND = 30e6
"""One core: read, make overviews, compress with deflate."""
WARPED_BYTES_PER_SECOND = 15e6
LOSSLESS = {"DEFLATE", "LZW", "ZSTD", "LERC", "LERC_DEFLATE", "LERC_ZSTD", "LZMA", "PACKBITS"}


@dataclass(frozen=True)
class Reading:
    """What it takes to read a source, bytes."""

    block_bytes: int
    """Of its blocks, while they are decoded."""
    held_bytes: int
    """What must stay in the cache, lest it be decoded for each block of a row of the output."""
    size: int
    """Of the blob."""
    copied: int = 0
    """Of the blob, where it must be copied to the disk to be read."""
    fetched: int = 0
    """Of the blob, where it is read into memory as it is."""


@dataclass(frozen=True)
class Output:
    """What will be written; sizes in pixels, `item_bytes` of one pixel of one band."""

    width: int
    height: int
    band_count: int
    item_bytes: int
    block_size: int
    warp_bytes: int
    """Memory for a warp; 0: there is none."""

    @property
    def pixel_bytes(self) -> int:
        """Of all bands of a pixel."""
        return self.band_count * self.item_bytes

    @property
    def raw_bytes(self) -> int:
        """Uncompressed, without overviews."""
        return self.width * self.height * self.pixel_bytes


def cache_bytes(memory_limit: int) -> int:
    """GDAL's block cache (`GdalSessions`) for a worker that may take so much.

    Measured: the peak is about 200 MB and 1.8 times the cache, and more of it makes nothing faster.
    """
    return max(32 * MEGABYTE, min(memory_limit // 8, 256 * MEGABYTE))


def overview_chunk_bytes(block_size: int, pixel_bytes: int) -> int:
    """GDAL_OVR_CHUNK_MAX_SIZE: the pixels under one block of an overview of half the size, and a margin.

    Where they are more, GDAL 3.10 makes overviews of several bands by way of temporary rasters. Measured with
    24,000 × 2,048 pixels × 8 bands of float32: 836 MB and 30 s of the processor, instead of 449 MB and 5 s.
    """
    size = (2 * block_size + 64) ** 2 * pixel_bytes
    return size if USUAL_CHUNK_BYTES < size <= MAX_CHUNK_BYTES else USUAL_CHUNK_BYTES


def item_bytes(dtype: str) -> int:
    """Of one number."""
    if dtype == "complex_int16":
        return 4
    import numpy

    return numpy.dtype(dtype).itemsize


def estimate(dataset: DatasetReader, size: int, output: Output, memory_limit: int) -> Estimate:
    """For the largest of the tasks that the conversion is cut into; `size` is the source's, bytes."""
    reading = reading_of(dataset, size, output.block_size)
    return _made(reading, _expected_bytes(dataset, size, output), output, memory_limit)


def mosaic_estimate(parts: Sequence[tuple[Reading, int]], output: Output, memory_limit: int) -> Estimate:
    """The same for many sources: of each what it takes to read it, and how many pixels it covers."""
    covered = min(sum(pixels for _, pixels in parts), output.width * output.height) * output.pixel_bytes
    # What nobody covers compresses to almost nothing.
    expected = int(covered * 1.02) + output.raw_bytes // 200
    # Sources are read one after the other; the strips of some that overlap may have to share the cache.
    largest = Reading(
        block_bytes=max(reading.block_bytes for reading, _ in parts),
        held_bytes=max(reading.held_bytes for reading, _ in parts),
        size=sum(reading.size for reading, _ in parts),
    )
    return _made(largest, expected, output, memory_limit)


def _made(reading: Reading, expected: int, output: Output, memory_limit: int) -> Estimate:
    usual, held = cache_bytes(memory_limit), reading.held_bytes
    # A quarter more: blocks of the output are in the cache, too.
    more = max(0, held + held // 4 - usual)
    # Blocks wait to be compressed in a queue, two for each thread, and become a copy there.
    queue = 2 * THREADS * output.block_size**2 * output.pixel_bytes
    overviews = OVERVIEW_CHUNKS * overview_chunk_bytes(output.block_size, output.pixel_bytes)
    memory = (
        PROCESS_BYTES
        + usual
        + reading.fetched
        + max(usual + queue, overviews)
        + reading.block_bytes
        # Strips, and what is read ahead of them.
        + more
        + 3 * held // 2
        + output.warp_bytes
    )
    # The COG, whose overviews are a third of it, and these once more while they are made.
    scratch = expected + 2 * expected // 3 + 16 * MEGABYTE + reading.copied
    speed = WARPED_BYTES_PER_SECOND if output.warp_bytes else OUTPUT_BYTES_PER_SECOND
    return Estimate(
        memory_bytes=memory,
        scratch_bytes=scratch,
        cache_bytes=more,
        output_bytes=output.raw_bytes,
        seconds=round(0.1 + reading.size / 50e6 + output.raw_bytes / speed, 1),
    )


def blocks_in_words(dataset: DatasetReader) -> str:
    """What of a source takes memory."""
    height, width = dataset.block_shapes[0]
    return (
        f"blocks of the source are {width} × {height} pixels × {dataset.count} bands, which makes "
        f"{block_memory(dataset) // MEGABYTE} MB"
    )


def refuse_too_large(made: Estimate, blocks: str, memory_limit: int, scratch_limit: int) -> None:
    """Raise `PermanentTaskError` for what could only die on the way; `blocks` says what takes memory."""
    if made.memory_bytes > memory_limit:
        raise PermanentTaskError(
            f"needs about {made.memory_bytes // MEGABYTE} MB of memory, of {memory_limit // MEGABYTE} MB "
            f"that a task may take: {blocks}; a smaller profile.block_size takes less of the rest"
        )
    if made.scratch_bytes > scratch_limit:
        raise PermanentTaskError(
            f"needs about {made.scratch_bytes // MEGABYTE} MB of temporary space, of "
            f"{scratch_limit // MEGABYTE} MB that a task may take"
        )


def reading_of(dataset: DatasetReader, size: int, block_size: int, *, always_masked: bool = False) -> Reading:
    """Of a source of `size` bytes, for an output in blocks of `block_size` pixels.

    `always_masked`: it is asked for its mask even where all of it is valid, as it is in a mosaic.
    """
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    # Masks of nodata and alpha are made of bands; all others are in blocks of their own.
    masked = flags == {"per_dataset"} or (always_masked and flags == {"all_valid"})
    pixel = dataset.count * item_bytes(str(dataset.dtypes[0])) + masked
    copied = size if dataset.driver in WHOLE_DRIVERS else 0
    fetched = size if size <= IN_MEMORY_BYTES else 0
    return Reading(block_memory(dataset), pixel * _held_pixels(dataset, block_size), size, copied, fetched)


def block_memory(dataset: DatasetReader) -> int:
    """Bytes for the blocks of a source.

    A block is decoded whole, of all bands where they are interleaved by pixel, and copied to the cache.
    """
    height, width = dataset.block_shapes[0]
    together = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL"
    bands = dataset.count if together else 1
    block: int = height * width * item_bytes(str(dataset.dtypes[0])) * bands
    return 2 * block


def _held_pixels(dataset: DatasetReader, block_size: int) -> int:
    """Of blocks so wide that a row of blocks of the output needs each of them again and again.

    Measured with strips of 100,000 pixels: 0.6 s where they fit, 9.8 s where they do not.
    """
    height, width = dataset.block_shapes[0]
    if width <= NARROW * block_size:
        return 0
    return int(width * min(-(-block_size // height) * height, dataset.height))


def _expected_bytes(dataset: DatasetReader, size: int, output: Output) -> int:
    """Of the compressed output without overviews.

    Lossless compressions do not differ by more than a factor of two on the same pixels; after a lossy or a
    warped source anything may come.
    """
    worst = int(output.raw_bytes * 1.02)
    raw = dataset.width * dataset.height * dataset.count * item_bytes(str(dataset.dtypes[0]))
    compression = dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION")
    sparse = dataset.driver == "GTiff" and compression is None and size < 0.5 * raw
    if output.warp_bytes or raw == 0 or not (compression in LOSSLESS or sparse):
        return worst
    return min(worst, int(2 * size * output.raw_bytes / raw) + output.raw_bytes // 200)
