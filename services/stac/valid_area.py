"""The part of a raster that has data, as polygons in coordinates of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .decimation import NoCoarseView, check_cost, coarse_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

MAX_BANDS = 16
"""Bands whose masks are looked at: a pixel has data when it has in one of them."""
SMOOTHNESS = 512
"""The outline may deviate from that of the pixels by the longer side of the raster divided by this, ..."""
MAX_VERTICES = 1000
"""... and by more, in powers of two, until it has at most so many vertices."""
MAX_EDGES = 12_000
"""Edges between pixels with and without data that are followed at once."""


@dataclass(frozen=True)
class ValidArea:
    """`geometry`: a shapely (Multi)Polygon, x = column, y = row, from 0 to `width` and `height`."""

    geometry: Any
    whole: bool
    """The geometry is the outline of the image."""
    notes: tuple[str, ...] = ()


def valid_area(dataset: DatasetReader, size: int) -> ValidArea:
    """Where the raster has data, from a look at it at no more than `size` pixels a side.

    Without any data, or where a look would cost too much, it is the whole image, and a note says so.
    """
    shape = coarse_shape(dataset.width, dataset.height, size)
    try:
        mask = valid_mask(dataset, shape)
    except NoCoarseView as error:
        return whole_image(dataset, f"the footprint is the outline of the image: {error}")
    if mask is None or mask.all():
        return whole_image(dataset)
    if not mask.any():
        return whole_image(dataset, "no pixel has data: the footprint is the outline of the image")
    return ValidArea(outline_of(mask, dataset.width, dataset.height), whole=False)


def whole_image(dataset: DatasetReader, *notes: str) -> ValidArea:
    """The outline of the image."""
    import shapely

    return ValidArea(shapely.box(0, 0, dataset.width, dataset.height), whole=True, notes=notes)


def valid_mask(dataset: DatasetReader, shape: tuple[int, int]) -> NDArray[Any] | None:
    """True where a band has data, of that shape; None when all pixels have, which needs no look.

    Data is what is neither nodata, nor masked, nor transparent, nor NaN. Raises `NoCoarseView`.
    """
    import numpy

    valid = None
    for band in _data_bands(dataset):
        whole = "all_valid" in {flag.name for flag in dataset.mask_flag_enums[band - 1]}
        may_be_nan = numpy.dtype(_numpy_name(dataset.dtypes[band - 1])).kind in "fc"
        if whole and not may_be_nan:
            return None
        check_cost(dataset, shape)
        of_band = numpy.ones(shape, bool) if whole else dataset.read_masks(band, out_shape=shape) > 0
        if may_be_nan and of_band.any():
            of_band &= ~numpy.isnan(dataset.read(band, out_shape=shape))
        valid = of_band if valid is None else valid | of_band
        if valid.all():
            return None
    return valid


def _data_bands(dataset: DatasetReader) -> list[int]:
    bands = [i for i in dataset.indexes if dataset.colorinterp[i - 1].name != "alpha"]
    return (bands or list(dataset.indexes))[:MAX_BANDS]


def _numpy_name(dtype: str) -> str:
    """rasterio reads what NumPy has no name for, complex integers, as complex floats."""
    return "complex64" if dtype.startswith("complex_int") else str(dtype)


def outline_of(mask: NDArray[Any], width: int, height: int) -> Any:
    """The outline of the true cells of a mask that covers `width` × `height` pixels, simplified.

    It is coarsened, which fills gaps and never loses a cell, until it has at most `MAX_VERTICES`.
    """
    import numpy
    import shapely

    x, y = width / mask.shape[1], height / mask.shape[0]
    tolerance = max(width, height) / SMOOTHNESS
    while True:
        edges = numpy.count_nonzero(mask[1:] != mask[:-1]) + numpy.count_nonzero(mask[:, 1:] != mask[:, :-1])
        if edges <= MAX_EDGES or min(mask.shape) == 1:
            scaled = _scaled(_polygons(mask), (x, y), (width, height))
            outline = shapely.simplify(scaled, tolerance)
            if not outline.is_valid:
                outline = shapely.make_valid(outline, method="structure", keep_collapsed=False)
            if shapely.get_num_coordinates(outline) <= MAX_VERTICES or max(mask.shape) <= 2:
                return outline
        mask, x, y, tolerance = _coarsened(mask), x * 2, y * 2, tolerance * 2


def _scaled(cells: Any, by: tuple[float, float], size: tuple[int, int]) -> Any:
    """From cells of a mask to pixels; the last ones may reach beyond the image."""
    import numpy
    import shapely

    return shapely.transform(cells, lambda xy: numpy.minimum(xy * by, size))


def _polygons(mask: NDArray[Any]) -> Any:
    import shapely
    from rasterio.features import shapes
    from shapely.geometry import shape

    # Of cells that are connected by an edge: what is left touches at corners only, so it is valid.
    return shapely.MultiPolygon([shape(geometry) for geometry, _ in shapes(mask.astype("uint8"), mask=mask)])


def _coarsened(mask: NDArray[Any]) -> NDArray[Any]:
    """Half the size: true where any of four cells is."""
    import numpy

    rows, columns = mask.shape
    even = numpy.pad(mask, ((0, rows % 2), (0, columns % 2)))
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    halved: NDArray[Any] = numpy.logical_or.reduce(blocks, axis=(1, 3))
    return halved
