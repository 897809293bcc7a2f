"""HDF5, in which there may be one raster or many."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy
import pytest

from services.raster_opening import MAX_WHOLE_BYTES

from .conftest import Workshop


@pytest.mark.parametrize("side", [64, 1200])
@pytest.mark.parametrize("name", ["band", "deep/er/band"])
def test_the_only_dataset_of_a_file_becomes_a_cog(
    workshop: Workshop, tmp_path: Path, side: int, name: str
) -> None:
    data = numpy.random.default_rng(3).integers(0, 200, (side, side), "uint8")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = data
    content = (tmp_path / "a.h5").read_bytes()
    assert (len(content) > MAX_WHOLE_BYTES) is (side > 1000)
    workshop.put("a.h5", content)

    job = workshop.run(blob="a.h5", assume_crs="EPSG:32632")

    assert job["status"] == "completed", [workshop.results(job, stage) for stage in (2, 3)]
    with workshop.cog("a.tif") as cog:
        assert numpy.array_equal(cog.read(1), data)


@pytest.mark.parametrize("job_type", ["raster_to_cog", "validate_raster"])
@pytest.mark.parametrize("extension", ["h5", "nc"])
@pytest.mark.parametrize("padding", [0, 2 * MAX_WHOLE_BYTES])
def test_a_file_that_reads_others_is_refused(
    workshop: Workshop, tmp_path: Path, job_type: str, extension: str, padding: int
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("band", shape=(16, 16), dtype="u1", external=[("/etc/passwd", 0, 256)])
        file["other"] = numpy.zeros(padding, "u1")
    workshop.put(f"a.{extension}", (tmp_path / "a.h5").read_bytes())

    job = workshop.run(job_type, blob=f"a.{extension}")

    assert "keeps its values in another file" in str(workshop.results(job, 2))
    assert workshop.names() == []
