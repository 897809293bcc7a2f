"""What becomes of an alpha band when bands are selected: what it hides stays hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interfaces.errors import PermanentTaskError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

COUNTS = (2, 4)
"""Of bands: GDAL takes alpha for a mask only where it is the last of so many (`GetMaskFlags`)."""
TYPES = ("uint8", "uint16")
"""Of pixels: in others GDAL takes no band for a mask (ibidem)."""


def alpha_as_mask(colors: Sequence[str], bands: Sequence[int] | None) -> int | None:
    """Number of the alpha band that a selection turns into a mask; None where it stays what it is.

    `colors` are the interpretations of all bands, in lower case, and `bands` the numbers (from 1) of those
    that are taken, None: all. A mask it becomes when it is left out, or taken to where GDAL does not know it
    for alpha any more. There it is a band like any other.
    """
    if bands is None or "alpha" not in colors or list(bands) == list(range(1, len(colors) + 1)):
        return None
    alpha = colors.index("alpha") + 1
    if set(bands) == {alpha}:
        return None
    known = len(bands) in COUNTS or len(colors) not in COUNTS
    return None if bands[-1] == alpha and list(bands).count(alpha) == 1 and known else alpha


def refuse_unknown_alpha(colors: Sequence[str], dtype: str, new: str) -> None:
    """Raise `PermanentTaskError` where pixels that alpha hides would be seen in another data type.

    `colors` are the interpretations of the bands that are stored, in lower case.
    """
    hides = len(colors) in COUNTS and colors[-1] == "alpha" and dtype in TYPES
    if hides and new not in TYPES:
        raise PermanentTaskError(
            f"data_type {new}: alpha hides pixels as {' or '.join(TYPES)} only: leave its band out of bands, "
            "and a mask hides them, or give nodata a value"
        )


def mask_of_selection(dataset: DatasetReader, bands: Sequence[int] | None) -> int | None:
    """The same of a dataset; None also where nodata or a mask of its own says what is valid."""
    colors = colors_of(dataset)
    if "alpha" not in colors or any(value is not None for value in dataset.nodatavals):
        return None
    flags = {flag.name for flag in dataset.mask_flag_enums[0 if colors[0] != "alpha" else -1]}
    if "per_dataset" in flags and "alpha" not in flags:
        return None
    return alpha_as_mask(colors, bands)


def colors_of(dataset: DatasetReader) -> list[str]:
    """Interpretations of all bands, as rasterio names them."""
    return [color.name for color in dataset.colorinterp]


def colors_of_selection(dataset: DatasetReader, bands: Sequence[int]) -> list[str]:
    """Interpretations of these bands in what is made of them."""
    colors = colors_of(dataset)
    chosen = [colors[band - 1] for band in bands]
    if mask_of_selection(dataset, bands) is None:
        return chosen
    return ["undefined" if color == "alpha" else color for color in chosen]
