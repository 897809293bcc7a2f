"""A profile as creation options of GDAL's COG driver (https://gdal.org/en/stable/drivers/raster/cog.html)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from interfaces.conversions import Content
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogProfile, Compression, OverviewResampling

from .nodata import Nodata

STRICT_SIDE = 512
"""Pixels; rio-cogeo's strict validation asks for overviews where width or height is larger."""
BLOCK_SIZES = (128, 256, 512, 1024, 2048, 4096)
"""Pixels; powers of two, which overviews' blocks are as well."""
OTHER_OVERVIEW_BLOCK = 128
"""Pixels; what GDAL gives overviews where the blocks of the full resolution are no power of two."""
LERC_TYPES = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"}
COMPLEX_OVERVIEWS = {"nearest", "average"}
PREDICTED = {"deflate", "zstd", "lzw"}


@dataclass(frozen=True)
class Pixels:
    """What is to be stored; `band_count` includes an alpha band, and sizes are in pixels."""

    width: int
    height: int
    band_count: int
    dtype: str
    content: Content
    alpha: bool
    palette: bool
    nodata: Nodata

    @property
    def floating(self) -> bool:
        """True of float32 and float64."""
        return self.dtype.startswith("float")


def compression_of(profile: CogProfile, dtype: str) -> Compression:
    """`auto` resolved: zstd for floats and complex numbers, deflate for integers."""
    if profile.compression != "auto":
        return profile.compression
    return "zstd" if "float" in dtype or "complex" in dtype else "deflate"


def creation_options(profile: CogProfile, pixels: Pixels, overviews: OverviewResampling) -> dict[str, str]:
    """All but the number of threads. Raises `PermanentTaskError` for what cannot be stored so."""
    compression = compression_of(profile, pixels.dtype)
    _refuse_unfit(profile, pixels, compression)
    options = {
        "COMPRESS": compression.upper(),
        "BLOCKSIZE": str(profile.block_size),
        "BIGTIFF": profile.bigtiff.upper(),
        # GDAL's names have no underscores: CUBICSPLINE.
        "OVERVIEW_RESAMPLING": overviews.upper().replace("_", ""),
        **_overview_options(profile, pixels, overviews),
    }
    if compression in PREDICTED:
        options["PREDICTOR"] = _predictor(profile.predictor, pixels.dtype)
    if profile.level is not None:
        options["LEVEL"] = str(profile.level)
    if profile.quality is not None:
        options |= {"QUALITY": str(profile.quality), "OVERVIEW_QUALITY": str(profile.quality)}
    if compression == "lerc":
        options["MAX_Z_ERROR"] = repr(profile.max_z_error)
    return options


def overview_count(width: int, height: int, block_size: int) -> int:
    """How many halvings until a raster fits into one block, but one at least where strictness asks for it."""
    side, count = max(width, height), 0
    while side > block_size:
        side //= 2
        count += 1
    return max(count, int(max(width, height) > STRICT_SIDE))


def fitted_profile(profile: CogProfile, width: int, height: int) -> tuple[CogProfile, list[str]]:
    """The profile with blocks and overviews that make every level a tiled one, and notes of what changed.

    rio-cogeo takes a level for untiled that is as wide as its blocks, where a side has more than
    `STRICT_SIDE` pixels (`cog_validate`). The block size that is asked comes first, then smaller ones and
    twice as large ones, then fewer overviews. Sizes in pixels.
    """
    for block, count in _choices(profile, width, height):
        if untiled_level(width, height, block, count) is None:
            break
    notes = []
    if block != profile.block_size:
        notes.append(f"blocks of {block} pixels instead of {profile.block_size}")
    wanted = _wanted_count(profile, width, height, block)
    if count != wanted:
        notes.append(f"{count} overviews instead of {wanted}")
    why = "since a level as wide as its blocks counts as untiled"
    changed = profile.model_copy(
        update={"block_size": block, "overviews": profile.overviews if count == wanted else count}
    )
    return changed, [f"{note}, {why}" for note in notes]


def overview_block(block_size: int) -> int:
    """Pixels on a side of the blocks that GDAL gives overviews, where the full resolution has these."""
    return block_size if block_size in BLOCK_SIZES else OTHER_OVERVIEW_BLOCK


def untiled_level(width: int, height: int, block_size: int, count: int) -> int | None:
    """The first level, 0 for full resolution, that rio-cogeo takes for untiled.

    GDAL rounds sizes of overviews down, or up where they are those of tiles: neither may be as wide as a
    block.
    """
    for level in range(count + 1):
        factor = 2**level
        block = block_size if level == 0 else overview_block(block_size)
        widths = {max(width // factor, 1), -(-width // factor)}
        if block in widths and max(*widths, -(-height // factor)) > STRICT_SIDE:
            return level
    return None


def _choices(profile: CogProfile, width: int, height: int) -> Iterator[tuple[int, int]]:
    """Block sizes and numbers of overviews, the best first."""
    asked = profile.block_size
    smaller = [block for block in reversed(BLOCK_SIZES) if block < asked]
    larger = [block for block in BLOCK_SIZES if block > asked]
    for block in (asked, *smaller, *larger[:1]):
        yield block, _wanted_count(profile, width, height, block)
    for block in (asked, *smaller, *larger):
        for count in range(_wanted_count(profile, width, height, block) - 1, 0, -1):
            yield block, count
    for block in larger:
        yield block, _wanted_count(profile, width, height, block)


def _wanted_count(profile: CogProfile, width: int, height: int, block_size: int) -> int:
    return overview_count(width, height, block_size) if profile.overviews == "auto" else profile.overviews


def _overview_options(profile: CogProfile, pixels: Pixels, resampling: OverviewResampling) -> dict[str, str]:
    count = _wanted_count(profile, pixels.width, pixels.height, profile.block_size)
    if pixels.dtype.startswith("complex") and resampling not in COMPLEX_OVERVIEWS:
        raise PermanentTaskError(
            f"profile.overview_resampling {resampling} is not defined for complex numbers"
        )
    if pixels.width == 1 and count and pixels.height > 1:
        raise PermanentTaskError(
            f"the raster is one pixel wide and {pixels.height} high: the factor of its overviews, which "
            "validation takes from their widths, would always be 1"
        )
    if count == 0:
        if max(pixels.width, pixels.height) > STRICT_SIDE:
            raise PermanentTaskError(
                f"profile.overviews 0: a COG of {pixels.width} × {pixels.height} pixels is valid only with "
                f"overviews, as is any with a side of more than {STRICT_SIDE}"
            )
        return {"OVERVIEWS": "NONE"}
    # Those of the source may be of any factor, made by any resampling, and out of date.
    return {"OVERVIEWS": "IGNORE_EXISTING", "OVERVIEW_COUNT": str(count)}


def _predictor(asked: Literal["auto", "none", "horizontal", "floating_point"], dtype: str) -> str:
    """TIFF 6.0, section 14, and Adobe's Technical Note 3 for floating point."""
    if asked == "none" or (asked == "auto" and "complex" in dtype):
        return "NO"
    if "complex" in dtype:
        raise PermanentTaskError(f"profile.predictor {asked}: there is none for complex numbers")
    if asked == "floating_point" and not dtype.startswith("float"):
        raise PermanentTaskError(f"profile.predictor floating_point is for floats, not for {dtype}")
    if asked == "horizontal":
        return "STANDARD"
    return "FLOATING_POINT" if dtype.startswith("float") else "STANDARD"


def _refuse_unfit(profile: CogProfile, pixels: Pixels, compression: Compression) -> None:
    if compression == "lerc" and pixels.dtype not in LERC_TYPES:
        raise PermanentTaskError(f"profile.compression lerc does not store {pixels.dtype}")
    if compression in ("jpeg", "webp"):
        _refuse_unfit_picture(pixels, compression)
    if not profile.lossless and pixels.nodata not in (None, "nan"):
        raise PermanentTaskError(
            f"profile.compression {compression} is lossy and would change pixels around nodata "
            f'{pixels.nodata}: ask for nodata "mask", or for a lossless compression'
        )


def _refuse_unfit_picture(pixels: Pixels, compression: Compression) -> None:
    if pixels.dtype != "uint8":
        raise PermanentTaskError(f"profile.compression {compression} stores uint8 only, not {pixels.dtype}")
    if pixels.palette:
        raise PermanentTaskError(
            f"profile.compression {compression} cannot store indexes into a colour table"
        )
    colors = pixels.band_count - pixels.alpha
    if compression == "jpeg" and colors not in (1, 3):
        raise PermanentTaskError(
            f"profile.compression jpeg stores 1 or 3 bands and alpha, not {pixels.band_count} bands"
        )
    if compression == "webp" and colors != 3:
        raise PermanentTaskError(
            f"profile.compression webp stores 3 bands and alpha, not {pixels.band_count} bands"
        )
