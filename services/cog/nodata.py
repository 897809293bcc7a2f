"""What stands for no data in an output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions
from services.raster_statistics import json_number

from .alpha import colors_of_selection, mask_of_selection

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Nodata = float | Literal["nan", "inf", "-inf"] | None


def planned_nodata(
    dataset: DatasetReader, bands: list[int], options: CogOptions, dtype: str, *, warped: bool
) -> tuple[Nodata, list[str]]:
    """The declared nodata of the output and notes; None where there is none, or a mask instead of it.

    Raises `PermanentTaskError` where the values of the source cannot become those of the output.
    """
    # Each of these asks GDAL about every band.
    values, of_bands = dataset.nodatavals, dataset.mask_flag_enums
    flags = {flag.name for band in bands for flag in of_bands[band - 1]}
    if mask_of_selection(dataset, bands) is not None:
        flags = {"per_dataset"}
    return decided_nodata(
        [values[band - 1] for band in bands],
        flags,
        options,
        dtype,
        alpha="alpha" in colors_of_selection(dataset, bands),
        warped=warped,
    )


def decided_nodata(
    values: Sequence[float | None],
    flags: set[str],
    options: CogOptions,
    dtype: str,
    *,
    alpha: bool,
    warped: bool,
) -> tuple[Nodata, list[str]]:
    """The same, from the values that bands declare and the names of their mask flags."""
    declared = sorted({value for value in values if value is not None}, key=str)
    notes: list[str] = []
    if declared and alpha:
        notes.append("both nodata and an alpha band are present")
    if options.nodata == "mask" and not (declared and alpha):
        return _masked(bool(declared), notes, masked=alpha or "per_dataset" in flags)
    if options.nodata not in ("keep", "mask"):
        return _given(float(options.nodata), dtype, declared, notes, flags)
    if not declared:
        if warped and not alpha:
            notes.append("what the source does not cover is told by a mask")
        return None, notes
    if len({str(value) for value in values}) > 1:
        raise PermanentTaskError(
            f"the bands declare different nodata ({', '.join(map(_text, values))}), and a TIFF holds one: "
            'give nodata, a value or "mask", or bands that agree'
        )
    (value,) = {str(value): value for value in declared}.values()
    if warped and "per_dataset" in flags and not alpha:
        return None, [*notes, f"the mask tells what is valid: nodata {_text(value)} is not declared any more"]
    if options.scaling is not None and not _outside(value, options, dtype):
        if alpha:
            raise PermanentTaskError(
                f"scaling: values may become equal to nodata {_text(value)}, and a mask is not made of it, "
                "since there is an alpha band: give nodata, a value outside of to_range"
            )
        return None, [*notes, f"nodata {_text(value)} became a mask, since scaled values may be equal to it"]
    if not fits(value, dtype):
        raise PermanentTaskError(
            f'nodata {_text(value)} does not fit data_type {dtype}: give nodata, a value that does or "mask"'
        )
    return _json(value), notes


def fits(value: float, dtype: str) -> bool:
    """True when the data type holds the value."""
    import numpy

    if dtype.startswith(("float", "complex")):
        if dtype not in ("float32", "complex64") or not math.isfinite(value):
            return True
        return abs(value) <= float(numpy.finfo("float32").max) * (1 + 1e-7)
    limits = numpy.iinfo(dtype)
    return math.isfinite(value) and value.is_integer() and limits.min <= value <= limits.max


def _masked(declared: bool, notes: list[str], *, masked: bool) -> tuple[Nodata, list[str]]:
    if not declared:
        return None, [*notes, "no nodata is declared that a mask could be made of"]
    if masked:
        return None, [*notes, "there is a mask already: nodata is not declared any more"]
    return None, [*notes, "nodata became a mask: valid is what is valid in any band"]


def _given(
    value: float, dtype: str, declared: list[float], notes: list[str], flags: set[str]
) -> tuple[Nodata, list[str]]:
    if not fits(value, dtype):
        raise PermanentTaskError(f"nodata: {_text(value)} does not fit {dtype}")
    if "alpha" in flags:
        notes.append(f"pixels that alpha hides became nodata {_text(value)}, which is preferred to alpha")
    elif "per_dataset" in flags:
        notes.append("a mask is present, which is preferred to nodata")
    others = [_text(old) for old in declared if old != value]
    if others:
        notes.append(f"pixels of the former nodata {', '.join(others)} became {_text(value)}")
    return _json(value), notes


def _outside(value: float, options: CogOptions, dtype: str) -> bool:
    """True when no scaled value can be equal to it, and the data type holds it."""
    if options.scaling is None:
        return True
    low, high = sorted(options.scaling.to_range)
    return fits(value, dtype) and (math.isnan(value) or not math.floor(low) <= value <= math.ceil(high))


def _json(value: float) -> Nodata:
    number = json_number(float(value))
    return number if isinstance(number, float) else "nan" if number == "nan" else _infinite(value)


def _infinite(value: float) -> Literal["inf", "-inf"]:
    return "inf" if value > 0 else "-inf"


def _text(value: float | None) -> str:
    if value is None:
        return "none"
    return (
        str(int(value))
        if math.isfinite(value) and float(value).is_integer() and abs(value) < 1e15
        else repr(value)
    )
