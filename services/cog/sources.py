"""Opens a plan's sources, by their drivers only, and tells GDAL's failures apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from warnings import filterwarnings

from interfaces.conversions import ConversionPlan
from interfaces.errors import ContractViolation, ServiceUnavailable, TaskError
from services.raster_opening import HDF5_DRIVERS, TRANSIENT
from services.second_look import UnreadableSource

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

NO_SPACE = ("No space left", "Free disk space available is", "Disk quota exceeded")
MAX_REASON = 400


@contextmanager
def gdal_told(doing: str, path: str = "") -> Iterator[None]:
    """Turn what GDAL raises into a reason: permanent, unless storage, network or disk is to blame.

    A reason names the file, not the way to it.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        text = f"{error.__cause__ or error}"
        if path:
            text = text.replace(path, path.rpartition("/")[2])
        text = text[:MAX_REASON]
        if any(sign in text for sign in TRANSIENT):
            raise ServiceUnavailable(f"storage did not answer while {doing}: {text}") from error
        if any(sign in text for sign in NO_SPACE):
            raise TaskError(f"the temporary space is full while {doing}: {text}") from error
        raise UnreadableSource(f"GDAL fails while {doing}: {text}") from error


@contextmanager
def opened_sources(plan: ConversionPlan, paths: list[str]) -> Iterator[list[DatasetReader]]:
    """The plan's sources, from where they are now: GDAL's names, in the order of the plan."""
    if len(paths) != len(plan.sources):
        raise ContractViolation(f"{len(plan.sources)} sources are planned, {len(paths)} paths are given")
    with ExitStack() as stack:
        yield [
            stack.enter_context(opened(source_name(plan, path), _drivers(driver)))
            for path, driver in zip(paths, plan.drivers, strict=True)
        ]


def _drivers(driver: str) -> list[str]:
    """What opens a file whose dataset says that it is `driver`'s.

    A file with one dataset is opened by HDF5, and says that it is HDF5Image's, which opens parts of files.
    """
    return HDF5_DRIVERS if driver in HDF5_DRIVERS else [driver]


def source_name(plan: ConversionPlan, path: str) -> str:
    """GDAL's name of the raster in the file."""
    return f'HDF5:"{path}":{plan.subdataset}' if plan.subdataset else path


@contextmanager
def opened(name: str, drivers: list[str]) -> Iterator[DatasetReader]:
    """A dataset, opened by one of these drivers only."""
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import DatasetReader

    # Process-wide, and no more than that: the plan's notes say what places a raster.
    filterwarnings("ignore", category=NotGeoreferencedWarning)
    reader: Any = DatasetReader  # rasterio.open takes one driver, its reader a list of them
    with gdal_told("opening the raster", name):
        dataset: DatasetReader = reader(name, driver=drivers)
    with dataset:
        yield dataset
