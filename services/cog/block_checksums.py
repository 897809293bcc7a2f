"""Shows that a COG has the blocks of its tiles, as they are compressed, where GDAL looks for them.

What is decoded from a block follows from its bytes and from the tags that say how they are encoded, which
`joining` compares. So equal bytes in equal places are equal pixels, in the full resolution and in each
overview, and nothing needs to be decompressed to know it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from .fidelity import Area, PixelsDiffer
from .sources import gdal_told, opened

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def checksum(path: str, area: Area, factors: Sequence[int], check: Callable[[], None]) -> str:
    """SHA-256, hex, of the blocks that show an area (column, row, width, height) in each of these overviews.

    `path` is a local TIFF, and `factors` are those of its levels from the first on: 1 is the full
    resolution. The area begins with a block in each of them. A level that the file lacks, since the one
    before is a single pixel, is told by that one's block. Raises `PixelsDiffer` where a block is left out.
    """
    found = hashlib.sha256()
    with opened(path, ["GTiff"]) as dataset, open(path, "rb") as file, gdal_told("finding blocks"):
        for offset, size in _places(dataset, area, factors):
            check()
            file.seek(offset)
            content = file.read(size)
            if not size or len(content) != size:
                raise PixelsDiffer(f"a block of {size} bytes is missing at byte {offset}")
            found.update(size.to_bytes(8, "little"))
            found.update(content)
    return found.hexdigest()


def compare_blocks(
    path: str, tiles: Sequence[tuple[Area, str]], factors: Sequence[int], check: Callable[[], None]
) -> None:
    """Raise `PixelsDiffer` where the blocks that show an area are not those of its checksum."""
    wrong = [area for area, expected in tiles if checksum(path, area, factors, check) != expected]
    if wrong:
        raise PixelsDiffer(
            f"the blocks of {len(wrong)} of {len(tiles)} tiles are not in the COG as they were, the first at "
            f"column {wrong[0][0]}, row {wrong[0][1]}"
        )


def _places(dataset: DatasetReader, area: Area, factors: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Offset and size of blocks, as GDAL finds them; 0 and 0 of those that are left out."""
    left, top, width, height = area
    rows, columns = dataset.block_shapes[0]
    made = 1 + len(dataset.overviews(1))
    for level, factor in enumerate(factors):
        overview = min(level, made - 1) - 1
        across, down = columns * factor, rows * factor
        for row in range(top // down, -(-(top + height) // down)):
            for column in range(left // across, -(-(left + width) // across)):
                offset, size = (
                    dataset.get_tag_item(
                        f"BLOCK_{what}_{column}_{row}", "TIFF", 1, None if overview < 0 else overview
                    )
                    for what in ("OFFSET", "SIZE")
                )
                yield int(offset or 0), int(size or 0)
