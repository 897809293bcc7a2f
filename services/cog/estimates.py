"""What a conversion takes at most: memory, temporary space, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interfaces.conversions import Estimate
from interfaces.errors import PermanentTaskError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

MEGABYTE = 1024**2
PROCESS_BYTES = 200 * MEGABYTE
"""Interpreter, libraries and connections, before a pixel is read."""
THREADS = 4
"""Taken for granted, so that a plan does not depend on who carries it out."""
OUTPUT_BYTES_PER_SECOND = 30e6
"""One core: read, make overviews, compress with deflate."""
WARPED_BYTES_PER_SECOND = 15e6
LOSSLESS = {"DEFLATE", "LZW", "ZSTD", "LERC", "LERC_DEFLATE", "LERC_ZSTD", "LZMA", "PACKBITS"}


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


def item_bytes(dtype: str) -> int:
    """Of one number."""
    if dtype == "complex_int16":
        return 4
    import numpy

    return numpy.dtype(dtype).itemsize


def estimate(dataset: DatasetReader, size: int, output: Output, memory_limit: int) -> Estimate:
    """For the largest of the tasks that the conversion is cut into; `size` is the source's, bytes."""
    return _made(block_memory(dataset), size, _expected_bytes(dataset, size, output), output, memory_limit)


def mosaic_estimate(parts: Sequence[tuple[int, int, int]], output: Output, memory_limit: int) -> Estimate:
    """The same for many sources: of each its `block_memory`, size (bytes), and pixels that it covers."""
    covered = min(sum(pixels for _, _, pixels in parts), output.width * output.height) * output.pixel_bytes
    # What nobody covers compresses to almost nothing.
    expected = int(covered * 1.02) + output.raw_bytes // 200
    # Sources are read one after the other.
    block = max(memory for memory, _, _ in parts)
    return _made(block, sum(size for _, size, _ in parts), expected, output, memory_limit)


def _made(block: int, size: int, expected: int, output: Output, memory_limit: int) -> Estimate:
    memory = (
        PROCESS_BYTES
        + 2 * cache_bytes(memory_limit)
        + block
        # Blocks wait to be compressed in a queue, two for each thread, and become a copy there.
        + 2 * THREADS * output.block_size**2 * output.pixel_bytes
        + output.warp_bytes
    )
    # The COG, whose overviews are a third of it, and these once more while they are made.
    scratch = expected + 2 * expected // 3 + 16 * MEGABYTE
    speed = WARPED_BYTES_PER_SECOND if output.warp_bytes else OUTPUT_BYTES_PER_SECOND
    return Estimate(
        memory_bytes=memory,
        scratch_bytes=scratch,
        output_bytes=output.raw_bytes,
        seconds=round(0.1 + size / 50e6 + output.raw_bytes / speed, 1),
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
            f"that a task may take: {blocks}"
        )
    if made.scratch_bytes > scratch_limit:
        raise PermanentTaskError(
            f"needs about {made.scratch_bytes // MEGABYTE} MB of temporary space, of "
            f"{scratch_limit // MEGABYTE} MB that a task may take"
        )


def block_memory(dataset: DatasetReader) -> int:
    """Bytes for the blocks of a source.

    A block is decoded whole, of all bands where they are interleaved by pixel, and copied to the cache.
    """
    height, width = dataset.block_shapes[0]
    together = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL"
    bands = dataset.count if together else 1
    block: int = height * width * item_bytes(str(dataset.dtypes[0])) * bands
    return 2 * block


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
