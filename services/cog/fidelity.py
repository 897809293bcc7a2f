"""Shows that a COG's pixels are its source's: block by block, never by trust."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from interfaces.conversions import ConversionPlan
from interfaces.errors import ContractViolation, PermanentTaskError

from .alpha import COUNTS, colors_of, mask_of_selection
from .sources import gdal_told, opened, opened_sources

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

WINDOW_BYTES = 16 * 1024**2
"""Of one band's pixels compared at once."""


Area = tuple[int, int, int, int]
"""Column, row, width and height, pixels."""
DIGEST_ROWS = 512
DIGEST_COLUMNS = 8192
"""Read at once for a digest."""


class PixelsDiffer(PermanentTaskError):
    """The COG is not what its source is; the text names the first difference."""

    title = "Pixels differ"


def compare(
    plan: ConversionPlan,
    paths: list[str],
    cog_path: str,
    check: Callable[[], None],
    tile: int | None = None,
) -> None:
    """Raise `PixelsDiffer`, with band and window, at the first pixel that differs in value or in validity.

    For lossless plans of one source; `cog_path` is the COG, or one tile of it. Values under a mask are not
    compared; NaN equals NaN. `check` is called between windows and may raise.
    """
    if not plan.lossless or plan.warp is not None or len(plan.sources) != 1:
        raise ContractViolation("pixels of this plan may differ")
    with (
        opened_sources(plan, paths) as (source,),
        opened(cog_path, ["GTiff"]) as cog,
        gdal_told("comparing pixels"),
    ):
        area = (0, 0, source.width, source.height) if tile is None else plan.window(tile)
        _compare_shapes(plan, area, cog)
        bands = plan.options.bands or list(source.indexes)
        validity = _Validity(plan, source, bands, _all_valid(cog))
        for window in _windows(cog, plan.dtype):
            there = _moved(window, area[0], area[1])
            for index, band in enumerate(bands[: plan.band_count], 1):
                check()
                _compare_window(validity, band, cog, index, (there, window))


def digest(path: str, area: Area, check: Callable[[], None]) -> str:
    """SHA-256 of the valid pixels of an area (column, row, width, height), and of which are valid.

    Equal for rasters with the same masked pixels there, however these are stored.
    """
    import numpy

    found = hashlib.sha256()
    with opened(path, ["GTiff"]) as dataset, gdal_told("reading pixels"):
        whole = _all_valid(dataset)
        for window in _windows_of(area):
            for index in dataset.indexes:
                check()
                pixels = dataset.read(index, window=window)
                if not whole[index - 1]:
                    valid = dataset.read_masks(index, window=window) != 0
                    pixels[~valid] = 0
                    found.update(numpy.packbits(valid).tobytes())
                if pixels.dtype.kind in "fc":
                    # One pattern of bits for each value: there are many NaNs, and two zeros.
                    pixels[numpy.isnan(pixels)] = numpy.nan
                    pixels += 0
                found.update(numpy.ascontiguousarray(pixels).data)
    return found.hexdigest()


def compare_tiles(
    path: str, tiles: Sequence[tuple[Area, str | None]], threads: int, check: Callable[[], None]
) -> None:
    """Raise `PixelsDiffer` where the pixels of an area are not those of its digest, or there is none."""
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda tile: digest(path, tile[0], check), tiles))
    wrong = [tile for tile, now in zip(tiles, found, strict=True) if tile[1] != now]
    if wrong:
        raise PixelsDiffer(
            f"{len(wrong)} of {len(tiles)} tiles are not in the COG as they were, the first at column "
            f"{wrong[0][0][0]}, row {wrong[0][0][1]}"
        )


def _windows_of(area: Area) -> Iterator[Window]:
    from rasterio.windows import Window

    left, top, width, height = area
    for y in range(0, height, DIGEST_ROWS):
        for x in range(0, width, DIGEST_COLUMNS):
            size = min(DIGEST_COLUMNS, width - x), min(DIGEST_ROWS, height - y)
            yield Window(left + x, top + y, *size)


def _moved(window: Window, columns: int, rows: int) -> Window:
    from rasterio.windows import Window

    return Window(window.col_off + columns, window.row_off + rows, window.width, window.height)


def _compare_shapes(plan: ConversionPlan, area: Area, cog: DatasetReader) -> None:
    expected = area[2], area[3], plan.band_count, plan.dtype
    found = cog.width, cog.height, cog.count, str(cog.dtypes[0])
    if expected != found:
        raise PixelsDiffer("expected {} × {} pixels, {} bands of {}".format(*expected) + f", found {found}")


class _Validity:
    """Which pixels of a source are valid in what the plan makes of it."""

    def __init__(
        self, plan: ConversionPlan, source: DatasetReader, bands: list[int], found_whole: list[bool]
    ) -> None:
        self.source = source
        self.found_whole = found_whole
        self._bands = bands
        # GDAL is asked about every band: once.
        self._flags = [{flag.name for flag in flags} for flags in source.mask_flag_enums]
        first = self._flags[bands[0] - 1]
        self._of_any_band = plan.nodata is None and "nodata" in first
        self._seen: tuple[Window, Any] | None = None
        self._alpha = mask_of_selection(source, plan.options.bands)
        self._hiding = self._hidden_by(plan)
        self._declared = None
        if plan.options.nodata not in ("keep", "mask") and self._alpha is None and not self._masked(first):
            # What has the declared value is no data from now on.
            self._declared = float(plan.options.nodata)

    def of(self, band: int, window: Window, values: Any) -> Any:
        """Boolean, for these values of the band."""
        import numpy

        if self._alpha is not None:
            valid = self.source.read(self._alpha, window=window) != 0
        elif self._hiding is not None and band != self._hiding:
            valid = self.source.read(self._hiding, window=window) != 0
        elif self._of_any_band:
            valid = self._any(window)
        elif self._flags[band - 1] == {"all_valid"}:
            valid = numpy.ones(values.shape, bool)
        else:
            valid = self.source.read_masks(band, window=window) != 0
        if self._declared is not None:
            valid = valid & ~_equal(values, values.dtype.type(self._declared))
        return valid

    def _any(self, window: Window) -> Any:
        """Where some band is valid. All bands ask for one window after the other, and the answer is one."""
        if self._seen is None or self._seen[0] != window:
            valid = self.source.read_masks(self._bands[0], window=window) != 0
            for number in self._bands[1:]:
                valid |= self.source.read_masks(number, window=window) != 0
            self._seen = window, valid
        return self._seen[1]

    def _hidden_by(self, plan: ConversionPlan) -> int | None:
        """The alpha band that GDAL knows for one in the selection, though not in the source."""
        colors, bands = colors_of(self.source), self._bands
        if self._alpha is not None or plan.nodata is not None or len(bands) not in COUNTS:
            return None
        alpha = bands[-1] if colors[bands[-1] - 1] == "alpha" else None
        return alpha if self._flags[bands[0] - 1] == {"all_valid"} else None

    @staticmethod
    def _masked(flags: set[str]) -> bool:
        """By a mask of its own."""
        return "per_dataset" in flags and "alpha" not in flags


def _compare_window(
    validity: _Validity,
    band: int,
    cog: DatasetReader,
    index: int,
    windows: tuple[Window, Window],
) -> None:
    """`windows` are those of the source and of the COG, or tile, that show the same."""
    import numpy

    there, window = windows
    want = validity.source.read(band, window=there)
    got = cog.read(index, window=window)
    want = want.astype(got.dtype, copy=False)
    expected = validity.of(band, there, want)
    found = (
        numpy.ones(got.shape, bool)
        if validity.found_whole[index - 1]
        else cog.read_masks(index, window=window) != 0
    )
    if not numpy.array_equal(expected, found):
        _raise("validity", band, there, expected != found, expected, found)
    differs = expected & ~_equal(want, got)
    if differs.any():
        _raise("value", band, there, differs, want, got)


def _all_valid(dataset: DatasetReader) -> list[bool]:
    """Of each band; GDAL is asked about all of them."""
    return [[flag.name for flag in flags] == ["all_valid"] for flags in dataset.mask_flag_enums]


def _equal(one: Any, other: Any) -> Any:
    """Element by element; NaN equals NaN."""
    import numpy

    same = one == other
    if one.dtype.kind in "fc":
        same |= numpy.isnan(one) & numpy.isnan(other)
    return same


def _raise(what: str, band: int, window: Window, differs: Any, want: Any, got: Any) -> None:
    import numpy

    row, column = (int(index[0]) for index in numpy.nonzero(differs))
    x, y = int(window.col_off), int(window.row_off)
    raise PixelsDiffer(
        f"{what} differs from the source's in band {band}, window ({x}, {y}, {int(window.width)}, "
        f"{int(window.height)}), in {int(differs.sum())} pixels, first at column {x + column}, "
        f"row {y + row}: expected {want[row, column]}, found {got[row, column]}"
    )


def _windows(cog: DatasetReader, dtype: str) -> Iterator[Window]:
    """Whole blocks of the COG, rows first, as wide as memory allows: sources are often made of strips."""
    from rasterio.windows import Window

    from .estimates import item_bytes

    height, width = cog.block_shapes[0]
    columns = max(1, WINDOW_BYTES // (height * width * item_bytes(dtype)))
    step = columns * width
    for top in range(0, cog.height, height):
        for left in range(0, cog.width, step):
            yield Window(left, top, min(step, cog.width - left), min(height, cog.height - top))
