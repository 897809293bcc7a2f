"""netCDF, which cannot be read by ranges: copied to the disk where that is bounded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil
from rasterio.transform import from_origin

from services.raster_opening import MAX_WHOLE_BYTES
from tests.fix_engine import World

from .conftest import MakeContainer, Workshop

SIDE = 800


@pytest.fixture
def netcdf(tmp_path: Path) -> bytes:
    """2.5 MB of one variable."""
    plain, path = tmp_path / "plain.tif", tmp_path / "a.nc"
    data = numpy.random.default_rng(3).random((1, SIDE, SIDE), "float32")
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_600_000, 10, 10)}
    with rasterio.open(plain, "w", width=SIDE, height=SIDE, count=1, dtype="float32", **place) as dataset:
        dataset.write(data)
    rasterio.shutil.copy(plain, path, driver="netCDF")
    content = path.read_bytes()
    assert len(content) > MAX_WHOLE_BYTES
    return content


def pixels(content: bytes) -> Any:
    """Of a netCDF file."""
    with rasterio.MemoryFile(content, filename="a.nc") as file, file.open(driver="netCDF") as dataset:
        return dataset.read()


def test_a_large_netcdf_file_becomes_a_cog(workshop: Workshop, netcdf: bytes) -> None:
    workshop.put("a.nc", netcdf)

    job = workshop.run(blob="a.nc")

    assert job["status"] == "completed", workshop.results(job, 2)
    with workshop.cog("a.tif") as cog:
        assert numpy.array_equal(cog.read(), pixels(netcdf))
        assert cog.crs.to_epsg() == 32632
    # The copy has room of its own.
    [inspected] = workshop.results(job, 2)
    assert inspected["scratch_bytes"] > len(netcdf) + 4 * SIDE * SIDE


def test_it_is_validated_to_its_last_pixel(workshop: Workshop, netcdf: bytes) -> None:
    workshop.put("a.nc", netcdf)

    job = workshop.run("validate_raster", blob="a.nc")

    [verdict] = workshop.results(job, 2)
    assert (verdict["verdict"], verdict["pixels_read"]) == ("valid", SIDE * SIDE)


def test_one_that_is_larger_than_the_disk_is_refused_with_the_reason(
    make_world: Callable[..., World],
    storage_connection_string: str,
    container: MakeContainer,
    workshop: Workshop,
    netcdf: bytes,
) -> None:
    world = make_world(
        storage=workshop.blobs,
        storage_connection_string=storage_connection_string,
        scratch_container=str(container().container_name),
        task_scratch_limit=2_000_000,
    )
    small = Workshop(world, workshop.blobs, workshop.source, workshop.target)
    small.put("a.nc", netcdf)

    job = small.run(blob="a.nc")

    assert job["status"] == "failed"
    [inspected] = small.results(job, 2)
    assert "temporary disk space" in inspected["error"]


def test_a_part_of_a_mosaic_is_refused_with_the_reason(workshop: Workshop, netcdf: bytes) -> None:
    workshop.put("a.nc", netcdf)
    workshop.put("b.nc", netcdf)

    job = workshop.run("mosaic_to_cog", prefix="", target_name="m.tif")

    assert job["status"] == "failed"
    assert "cannot be read by ranges" in workshop.results(job, 2)[0]["error"]
