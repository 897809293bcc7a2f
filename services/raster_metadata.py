"""Reads what the header of an open raster says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from .raster_footprint import wgs84_bounds
from .raster_report import BandReport, CogReport, CrsReport, Number, RasterMetadata
from .raster_source import RasterSource
from .raster_statistics import MAX_BLOCK_PIXELS, NoStatistics, band_statistics, json_number

if TYPE_CHECKING:
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

MAX_BANDS = 256
"""Bands described one by one; `band_count` is always true."""
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 1000
MAX_DECLARED_BYTES = 1024**3
MAX_DECLARED_RATIO = 1_000_000
"""Sparse and constant rasters are legitimate: an index of 12 bytes for a tile of 512² doubles is a ratio
of 175,000. A larger one cannot be honest."""
CHECKED_BLOCKS = 64


class Refused(Exception):
    """The file opens, but is not to be read; the text says why."""


class Truncated(Exception):
    """The header promises more bytes than the file has; the text says which."""


def refuse_dangerous(dataset: DatasetReader, path: str, size: int) -> None:
    """Raise `Refused` for a decompression bomb and for references to other files.

    To be called before anything else is asked of the dataset: overviews may be named by a tag, and GDAL
    would open whatever it names.
    """
    value_bytes = item_bytes(dataset.dtypes[0]) if dataset.count else 1
    declared = dataset.width * dataset.height * dataset.count * value_bytes
    if declared > MAX_DECLARED_BYTES and declared > MAX_DECLARED_RATIO * size:
        raise Refused(
            f"declares {dataset.width} × {dataset.height} pixels × {dataset.count} bands = {declared} bytes "
            f"in a file of {size} bytes: taken for a decompression bomb"
        )
    reference = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if reference and reference not in (f"{path}.ovr", ":::BASE:::" + path.rpartition("/")[2] + ".ovr"):
        raise Refused("names another file as its overviews: references to other files are not followed")


def check_length(dataset: DatasetReader, path: str, size: int) -> None:
    """Raise `Truncated` when a block of a GeoTIFF lies behind the end of the file.

    Looks at all blocks of the first band where they are few, else at some from first to last, and at the
    first block of each overview: only the tables of offsets are read.
    """
    if dataset.driver != "GTiff" or dataset.count == 0:
        return
    stored = [_check_block(dataset, x, y, None, size) for x, y in _some_blocks(dataset)]
    if not any(name.lower().endswith(".ovr") for name in dataset.files):
        for level in range(len(dataset.overviews(1))):
            _check_block(dataset, 0, 0, level, size)
    if not all(stored):
        _check_tables(dataset, path, size)


def _some_blocks(dataset: DatasetReader) -> Iterator[tuple[int, int]]:
    height, width = dataset.block_shapes[0]
    columns, rows = -(-dataset.width // width), -(-dataset.height // height)
    last = columns * rows - 1
    count = min(last + 1, CHECKED_BLOCKS)
    for number in sorted({last * i // max(count - 1, 1) for i in range(count)}):
        row, column = divmod(number, columns)
        yield column, row


def _check_block(dataset: DatasetReader, x: int, y: int, level: int | None, size: int) -> bool:
    """False for a sparse block, which is not stored."""
    offset, length = (
        dataset.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=1, ovr=level)
        for what in ("OFFSET", "SIZE")
    )
    if not offset or not length:
        return False
    end = int(offset) + int(length)
    if end > size:
        where = f"overview {level}" if level is not None else "the image"
        raise Truncated(f"block ({x}, {y}) of {where} ends at byte {end}, but the file has {size} bytes")
    return True


def _check_tables(dataset: DatasetReader, path: str, size: int) -> None:
    """Tell sparse blocks from a table of offsets that is cut off.

    GDAL reads such tables late, when the file is remote, and then takes what it cannot read for sparse:
    a cut file is zeros without any error. Read at once, it is an error.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    height, width = dataset.block_shapes[0]
    if height * width > MAX_BLOCK_PIXELS:
        return
    try:
        with (
            rasterio.Env(GTIFF_USE_DEFER_STRILE_LOADING="NO"),
            rasterio.open(path, driver="GTiff") as again,
        ):
            again.read(1, window=Window(0, 0, 1, 1))
    except RasterioError as error:
        raise Truncated(f"the table of blocks is not within the file's {size} bytes") from error


def describe(
    dataset: DatasetReader, source: RasterSource, sidecars: list[str], *, statistics: bool
) -> RasterMetadata:
    """Everything of `RasterMetadata` except the count of bytes."""
    path = source.path
    warnings: list[str] = []
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    crs, crs_reason = _crs(dataset)
    georeferencing = _georeferencing(dataset)
    if crs is None:
        footprint: tuple[list[float] | None, str | None] = None, crs_reason or "the raster has no CRS"
    elif georeferencing != "transform":
        footprint = None, f"the raster is not placed by a transform ({georeferencing})"
    else:
        footprint = wgs84_bounds(crs, _corners(dataset))
    bands = [band_report(dataset, index) for index in range(1, min(dataset.count, MAX_BANDS) + 1)]
    if dataset.count > MAX_BANDS:
        warnings.append(f"only the first {MAX_BANDS} of {dataset.count} bands are described")
    if any(band.nodata is not None for band in bands) and any("alpha" in band.mask_flags for band in bands):
        warnings.append("both nodata and an alpha band are present")
    report = RasterMetadata(
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        band_count=dataset.count,
        dtypes=[str(dtype) for dtype in dataset.dtypes[:MAX_BANDS]],
        nodata=bands[0].nodata if bands else None,
        crs=_crs_report(crs) if crs is not None else None,
        crs_reason=crs_reason,
        georeferencing=georeferencing,
        transform=[json_number(value) for value in tuple(dataset.transform)[:6]],
        bounds=[json_number(value) for value in dataset.bounds],
        bounds_wgs84=footprint[0],
        bounds_wgs84_reason=footprint[1],
        block_shapes=[list(shape) for shape in dataset.block_shapes[:MAX_BANDS]],
        tiled=bool(dataset.count) and dataset.block_shapes[0][1] != dataset.width,
        overviews=[int(factor) for factor in dataset.overviews(1)] if dataset.count else [],
        compression=structure.get("COMPRESSION"),
        interleave=structure.get("INTERLEAVE"),
        photometric=structure.get("SOURCE_COLOR_SPACE"),
        color_map=any(band.color_interpretation == "palette" for band in bands),
        bands=bands,
        subdatasets=[_inside(name, path) for name in dataset.subdatasets[:MAX_BANDS]],
        tags=_tags(dataset),
        sidecars=sidecars,
        cog=_cog(path) if dataset.driver == "GTiff" else None,
        warnings=warnings,
    )
    return _with_statistics(report, dataset, source) if statistics else report


def _with_statistics(report: RasterMetadata, dataset: DatasetReader, source: RasterSource) -> RasterMetadata:
    from rasterio.errors import RasterioError

    try:
        made, values = band_statistics(dataset, source)
    except NoStatistics as error:
        return report.model_copy(update={"statistics_reason": str(error)})
    except RasterioError as error:
        reason = f"the pixels cannot be read: {error.__cause__ or error}"[:300]
        return report.model_copy(update={"statistics_reason": reason})
    bands = [
        band.model_copy(update={"statistics": values[i]}) if i < len(values) else band
        for i, band in enumerate(report.bands)
    ]
    return report.model_copy(update={"statistics": made, "bands": bands})


def band_report(dataset: DatasetReader, index: int) -> BandReport:
    """What the header says of a band, counted from 1."""
    at = index - 1
    dtype = str(dataset.dtypes[at])
    scale, offset = dataset.scales[at], dataset.offsets[at]
    return BandReport(
        index=index,
        dtype=dtype,
        nodata=_nodata(dataset.nodatavals[at], dtype),
        color_interpretation=dataset.colorinterp[at].name,
        mask_flags=[flag.name for flag in dataset.mask_flag_enums[at]],
        description=dataset.descriptions[at] or None,
        unit=dataset.units[at] or None,
        scale=None if scale == 1.0 else json_number(scale),
        offset=None if offset == 0.0 else json_number(offset),
    )


def _nodata(value: float | None, dtype: str) -> Number | None:
    if value is None:
        return None
    if "int" in dtype and "complex" not in dtype and float(value).is_integer():
        return int(value)
    return json_number(value)


def _crs(dataset: DatasetReader) -> tuple[CRS | None, str | None]:
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError

    try:
        crs = dataset.crs
        # What PROJ could not say of the CRS is raised by whatever is asked next: here, not further on.
        _ = dataset.colorinterp
        if crs:
            crs.to_wkt(version="WKT2_2019")
            return crs, None
        if dataset.gcps[1]:
            return None, "only the ground control points have a CRS"
    except (CRSError, CPLE_BaseError) as error:
        return None, f"the CRS cannot be interpreted: {error}"[:300]
    return None, None


def _crs_report(crs: CRS) -> CrsReport:
    epsg = crs.to_epsg()
    authority = crs.to_authority()
    return CrsReport(
        epsg=epsg,
        authority=":".join(authority) if authority else None,
        wkt2=crs.to_wkt(version="WKT2_2019") if epsg is None else None,
    )


def _georeferencing(dataset: DatasetReader) -> Literal["transform", "gcps", "rpcs", "none"]:
    if not dataset.transform.is_identity:
        return "transform"
    if dataset.gcps[0]:
        return "gcps"
    return "rpcs" if dataset.rpcs else "none"


def _corners(dataset: DatasetReader) -> list[tuple[float, float]]:
    """Of the image, which is not the box of `bounds` when the transform is rotated."""
    width, height = dataset.width, dataset.height
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    corners = ((0, 0), (width, 0), (width, height), (0, height))
    return [(a * x + b * y + c, d * x + e * y + f) for x, y in corners]


def _cog(path: str) -> CogReport:
    from rio_cogeo.cogeo import cog_validate

    valid, errors, warnings = cog_validate(path, quiet=True)
    return CogReport(valid=valid, strict_valid=valid and not warnings, errors=errors, warnings=warnings)


def _tags(dataset: DatasetReader) -> dict[str, str]:
    tags = list(dataset.tags().items())[:MAX_TAGS]
    return {str(key): str(value)[:MAX_TAG_CHARACTERS] for key, value in tags}


def _inside(subdataset: str, path: str) -> str:
    """A subdataset's name without the way to the file: HDF5:"…/file.h5"://group → //group."""
    return subdataset.partition(path)[2].lstrip('":') or subdataset


def item_bytes(dtype: str) -> int:
    """Bytes of one value of a raster's data type."""
    import numpy

    try:
        return numpy.dtype(dtype).itemsize
    except TypeError:
        return 4  # complex_int16, and whatever numpy has no name for
