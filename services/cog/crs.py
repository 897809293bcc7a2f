"""The CRS of a source: its own, an assumed one, or none, which is enough where pixels stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def crs_to_assign(dataset: DatasetReader, options: CogOptions) -> tuple[str | None, list[str]]:
    """The CRS to assign, and notes; raises when one is needed and there is none."""
    reason = _crs_error(dataset)
    has = reason is None and has_crs(dataset)
    if options.assume_crs is not None and not has:
        return options.assume_crs, [f"names no CRS: {options.assume_crs} is assumed"]
    if reason is not None:
        raise PermanentTaskError(f"the CRS cannot be interpreted: {reason}; give assume_crs")
    if has:
        return None, []
    if options.crs_wanted is not None:
        raise PermanentTaskError("missing CRS and no assume_crs")
    return None, ["the raster names no CRS, nor will its COG"]


def has_crs(dataset: DatasetReader) -> bool:
    """True when anything names one: the raster, its control points, or polynomials, which imply WGS 84."""
    return bool(dataset.crs or dataset.gcps[1] or dataset.rpcs)


def _crs_error(dataset: DatasetReader) -> str | None:
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError

    try:
        crs = dataset.crs
        # What PROJ could not say of the CRS is raised by whatever is asked next.
        _ = dataset.colorinterp
        if crs:
            crs.to_wkt(version="WKT2_2019")
    except (CRSError, CPLE_BaseError) as error:
        return f"{error}"[:300]
    return None
