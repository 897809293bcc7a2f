"""Puts the compressed blocks of tiles into a COG as they are: no pixel is compressed a second time.

GDAL makes both ends. It wrote the tiles, with the compression of the COG and in its blocks. And its COG
driver writes the COG, with all metadata, but over tiles that are not there: `SPARSE_OK` leaves those blocks
out, whose places in the file are then 0. Only overviews so small that a block shows several tiles have
pixels, and come first in the file, as they have to. After them the blocks of tiles are written, the coarsest
overview first and row by row, each between its size and its last four bytes, as the COG's structural metadata
promise (https://gdal.org/en/stable/drivers/raster/cog.html, "File format details"). At last tifffile fills in
where they are.

What comes of it is, byte for byte, what the COG driver writes over the tiles themselves, except for blocks of
small overviews without any data, which stay left out.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Self

from interfaces.conversions import ConversionPlan
from interfaces.errors import ContractViolation, PermanentTaskError
from repositories.ahead import ahead

from .profile import overview_block

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

Read = Callable[[int, int], bytes]
"""Bytes of a file: offset, length."""

LOSSLESS = {"DEFLATE", "ZSTD", "LZW", "NONE"}
"""Compressions of which each block stands for itself, and that take no parameters of the whole file."""
LEVELS = {"DEFLATE": "ZLEVEL", "ZSTD": "ZSTD_LEVEL"}
"""GeoTIFF's names of the COG driver's LEVEL."""
PREDICTORS = {"NO": "1", "STANDARD": "2", "FLOATING_POINT": "3"}
ENCODING = (
    "BitsPerSample",
    "Compression",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "Predictor",
    "SampleFormat",
    "TileWidth",
    "TileLength",
)
"""Tags that say what the bytes of a block mean."""
OFFSETS, SIZES = "TileOffsets", "TileByteCounts"
HEADER_BYTES = 64 * 1024
"""Read of a tile at once, to find its blocks."""
RUN_BYTES = 4 * 1024**2
"""Of neighbouring blocks that are read at once; several such reads are under way."""
CLASSIC_BYTES = 2**32


def joinable(plan: ConversionPlan, factors: list[int]) -> bool:
    """Whether tiles with overviews of these factors can give the COG its blocks, if there is no mask.

    GDAL 3.10 leaves no blocks out of complex numbers, and none of integers of 64 bits that have nodata.
    """
    left_out = "complex" not in plan.dtype and (plan.nodata is None or plan.dtype not in ("int64", "uint64"))
    if plan.tile_size is None or plan.tile_size % int(plan.creation["BLOCKSIZE"]):
        return False
    whole = bool(factors) or plan.creation.get("OVERVIEWS") == "NONE"
    return whole and left_out and plan.creation["COMPRESS"] in LOSSLESS


def tile_encoding(plan: ConversionPlan) -> tuple[dict[str, str], dict[str, str]]:
    """GeoTIFF's creation options of a tile that gives the COG its blocks, and settings for its overviews."""
    compression = plan.creation["COMPRESS"]
    options = {"COMPRESS": compression}
    settings = {}
    if "PREDICTOR" in plan.creation:
        options["PREDICTOR"] = PREDICTORS[plan.creation["PREDICTOR"]]
    if "LEVEL" in plan.creation and compression in LEVELS:
        name = LEVELS[compression]
        options[name] = plan.creation["LEVEL"]
        settings[f"{name}_OVERVIEW"] = plan.creation["LEVEL"]
    return options, settings


def shared_factors(plan: ConversionPlan, factors: list[int]) -> list[int]:
    """The factors of overviews of which a block shows one tile only; 1 is the full resolution.

    Of blocks whose sides are no power of two, only that one: GDAL gives overviews others, so that their
    blocks are not counted as those of the full resolution are.
    """
    block = int(plan.creation["BLOCKSIZE"])
    assert plan.tile_size is not None
    if overview_block(block) != block:
        return [1]
    return [factor for factor in (1, *factors) if plan.tile_size % (block * factor) == 0]


def made_factors(factors: list[int], width: int, height: int) -> list[int]:
    """The factors of which a tile has overviews: until it is a single pixel, as GDAL makes that only once."""
    return [factor for factor in factors if factor < 2 * max(width, height)]


@dataclass(frozen=True)
class TileFile:
    """The file of a tile, wherever it lies; `size` in bytes."""

    size: int
    read: Read

    @classmethod
    def local(cls, path: str) -> Self:
        """A file of this machine."""

        def read(offset: int, length: int) -> bytes:
            with open(path, "rb") as file:
                file.seek(offset)
                return file.read(length)

        return cls(os.path.getsize(path), read)


@dataclass(frozen=True)
class Blocks:
    """Where a level of a tile has its blocks in the file, row by row, and how they are encoded."""

    width: int
    height: int
    """Pixels."""
    columns: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    encoding: tuple[object, ...]

    @property
    def rows(self) -> int:
        """Of blocks."""
        return len(self.offsets) // self.columns


def blocks_of(file: TileFile, count: int = 0) -> list[Blocks]:
    """Of a tile: of its full resolution, then of its overviews.

    Where the last is a single pixel, it stands for what is missing of `count` levels as well.
    """
    with _opened(io.BufferedReader(_Reader(file), HEADER_BYTES), name="tile.tif") as tile:
        levels = _levels(tile)
    last = levels[-1]
    return levels + [last] * (count - len(levels) if last.width == last.height == 1 else 0)


def fit(plan: ConversionPlan, found: list[list[Blocks]], factors: list[int]) -> bool:
    """Whether each tile has these levels, with all of their blocks, encoded as those of the others are."""
    for tile, levels in enumerate(found):
        *_, width, height = plan.window(tile)
        sizes = [(-(-width // factor), -(-height // factor)) for factor in factors]
        if [(level.width, level.height) for level in levels[: len(factors)]] != sizes:
            return False
        for level, first in zip(levels[: len(factors)], found[0], strict=False):
            if level.encoding != first.encoding or not all(level.offsets):
                return False
    return True


def left_out(target: str) -> list[Blocks]:
    """What a COG says of its levels, the full resolution first."""
    with _opened(target) as file:
        return _levels(file)


def alike(cog: list[Blocks], tile: list[Blocks], factors: list[int]) -> bool:
    """Whether these levels, without blocks in a COG, are encoded there as they are in a tile."""
    if any(any(level.offsets) for level in cog[: len(factors)]):
        return False
    ours, theirs = ([level.encoding for level in levels[: len(factors)]] for levels in (cog, tile))
    return ours == theirs


def join(
    plan: ConversionPlan,
    target: str,
    files: list[TileFile],
    found: list[list[Blocks]],
    levels: int,
    check: Callable[[], None],
) -> None:
    """Write the first `levels` levels of the tiles into the COG `target`, in which they are left out.

    `found` are the blocks of each tile. Raises `PermanentTaskError` where the COG would be too large for the
    TIFF that it is.
    """
    places = []
    with open(target, "r+b") as cog:
        for level in reversed(range(levels)):
            grid = _Grid(plan, [tile[level] for tile in found])
            places.append((level, *_append(cog, grid, files, check)))
        size = cog.seek(0, io.SEEK_END)
    with _opened(target, mode="r+") as file:
        if not file.is_bigtiff and size >= CLASSIC_BYTES:
            raise PermanentTaskError("profile.bigtiff: the COG is larger than 4 GiB, and must be a BigTIFF")
        for level, offsets, sizes in places:
            tags = _pages(file)[level].tags
            tags[OFFSETS].overwrite(offsets)
            tags[SIZES].overwrite(sizes)


@dataclass(frozen=True)
class _Grid:
    """A level of all tiles."""

    plan: ConversionPlan
    blocks: list[Blocks]

    def runs(self) -> Iterator[tuple[int, list[int]]]:
        """Tiles and their blocks that follow each other in the COG and in the file, row by row."""
        across = sum(1 for tile in range(self.plan.tiles) if self.plan.window(tile)[1] == 0)
        for first in range(0, self.plan.tiles, across):
            for row in range(self.blocks[first].rows):
                for tile in range(first, first + across):
                    blocks = self.blocks[tile]
                    for run in _runs(blocks, row * blocks.columns, (row + 1) * blocks.columns):
                        yield tile, run


def _runs(blocks: Blocks, begin: int, end: int) -> Iterator[list[int]]:
    run: list[int] = []
    for block in range(begin, end):
        if run:
            follows = blocks.offsets[run[-1]] + blocks.sizes[run[-1]] == blocks.offsets[block]
            length = blocks.offsets[block] + blocks.sizes[block] - blocks.offsets[run[0]]
            if not follows or length > RUN_BYTES:
                yield run
                run = []
        run.append(block)
    yield run


def _append(
    cog: IO[bytes], grid: _Grid, files: list[TileFile], check: Callable[[], None]
) -> tuple[list[int], list[int]]:
    """Write a level at the end; returns offsets and sizes of its blocks, row by row."""
    offsets, sizes = [], []
    at = cog.seek(0, io.SEEK_END)
    reads = (partial(_read, files[tile], grid.blocks[tile], tile, run) for tile, run in grid.runs())
    with closing(ahead(reads)) as found:
        for contents in found:
            check()
            for content in contents:
                size = len(content)
                cog.write(size.to_bytes(4, "little"))
                cog.write(content)
                cog.write(content[-4:])
                offsets.append(at + 4)
                sizes.append(size)
                at += size + 8
    return offsets, sizes


def _read(file: TileFile, blocks: Blocks, tile: int, run: list[int]) -> list[memoryview]:
    """The blocks of a run."""
    start = blocks.offsets[run[0]]
    length = blocks.offsets[run[-1]] + blocks.sizes[run[-1]] - start
    data = file.read(start, length)
    if len(data) != length:
        raise ContractViolation(f"tile {tile} ends within its blocks")
    view = memoryview(data)
    return [view[blocks.offsets[block] - start :][: blocks.sizes[block]] for block in run]


def _opened(file: str | io.BufferedReader, **options: Any) -> TiffFile:
    from tifffile import TiffFile

    # It knows no nodata of int8, and would warn of it for each level of each tile.
    logging.getLogger("tifffile").setLevel(logging.ERROR)
    return TiffFile(file, **options)


def _levels(file: TiffFile) -> list[Blocks]:
    return [_blocks(page) for page in _pages(file)]


def _pages(file: TiffFile) -> list[TiffPage]:
    from tifffile import TiffPage

    # Frames are what tifffile makes of later pages, if it is told to take them for pages like the first.
    return [page for page in file.pages if isinstance(page, TiffPage)]


def _blocks(page: TiffPage) -> Blocks:
    values = {name: page.tags[name].value for name in ENCODING if name in page.tags}
    offsets, sizes = page.tags[OFFSETS].value, page.tags[SIZES].value
    return Blocks(
        width=page.imagewidth,
        height=page.imagelength,
        columns=-(-page.imagewidth // page.tilewidth),
        offsets=tuple(offsets) if isinstance(offsets, tuple) else (offsets,),
        sizes=tuple(sizes) if isinstance(sizes, tuple) else (sizes,),
        encoding=tuple(values.get(name, 1) for name in ENCODING),
    )


class _Reader(io.RawIOBase):
    """The file of a tile, as Python reads files."""

    def __init__(self, file: TileFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        length = min(len(buffer), self._file.size - self._at)
        if length <= 0:
            return 0
        data = self._file.read(self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
