"""Conversions of rasters with blobs beside them that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from services.cog import conversion

from .conftest import Workshop

MakeRaster = Callable[..., bytes]


@pytest.fixture
def mask(make_raster: MakeRaster, tmp_path: Path) -> bytes:
    """Of the rasters that `make_raster` makes: the left half is masked."""
    path = tmp_path / "masked.tif"
    path.write_bytes(make_raster())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        valid = numpy.full(dataset.shape, 255, "uint8")
        valid[:, : dataset.width // 2] = 0
        dataset.write_mask(valid)
    return (tmp_path / "masked.tif.msk").read_bytes()


@pytest.mark.parametrize("name", ["a.tif", "a b.tif", "a, b.tif"])
def test_a_mask_beside_the_raster_is_in_the_cog(
    workshop: Workshop, make_raster: MakeRaster, mask: bytes, name: str
) -> None:
    workshop.put(name, make_raster())
    workshop.put(f"{name}.msk", mask)

    job = workshop.run(blob=name)

    assert job["status"] == "completed", workshop.results(job, 2)
    with workshop.cog(name) as cog:
        valid = cog.dataset_mask()
        assert not valid[:, : cog.width // 2].any()
        assert valid[:, cog.width // 2 :].all()


@pytest.mark.parametrize("change", ["removed", "replaced", "added"])
def test_a_changed_sidecar_is_a_changed_source(
    workshop: Workshop, make_raster: MakeRaster, mask: bytes, change: str
) -> None:
    workshop.put("a.tif", make_raster())
    if change != "added":
        workshop.put("a.tif.msk", mask)
    first = workshop.run(blob="a.tif")
    assert first["result"]["cogs"] == 1, workshop.results(first, 2)

    if change == "removed":
        workshop.blobs.delete(workshop.source, ["a.tif.msk"])
    else:
        workshop.put("a.tif.msk", mask)
    again = workshop.world.engine.rerun(first["job_id"], correlation_id="test")
    second = workshop.world.run(again.job_id, 120)

    assert (second["result"]["unchanged"], second["result"]["cogs"]) == (0, 1)


def test_a_sidecar_that_changes_during_the_conversion_is_noticed(
    workshop: Workshop, make_raster: MakeRaster, mask: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.put("a.tif", make_raster())
    convert = conversion.convert

    def changed(*arguments: Any, **options: Any) -> None:
        convert(*arguments, **options)
        workshop.put("a.tif.msk", mask)

    monkeypatch.setattr(conversion, "convert", changed)

    job = workshop.run(blob="a.tif")

    assert job["status"] == "failed"
    [converted] = workshop.results(job, 3)
    assert "what lies beside it (mask, overviews, metadata) changed" in converted["error"]
    assert workshop.names() == []
