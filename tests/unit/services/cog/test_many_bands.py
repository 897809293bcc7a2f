"""What a raster says of its bands is asked for once, not once a band."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from rasterio.io import DatasetReader

from services.cog.conversion import convert
from services.cog.fidelity import compare
from tests.unit.services.rasters import write_raster

from .making import go_on, plan_of

ASKED = ("mask_flag_enums", "nodatavals", "dtypes", "colorinterp", "descriptions", "units", "scales")


@pytest.mark.parametrize("options", [{}, {"target_crs": "EPSG:3857"}, {"data_type": "uint16"}])
def test_as_much_is_asked_of_few_bands_as_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    asked: list[str] = []

    def counted(name: str) -> property:
        own = getattr(DatasetReader, name)

        def answer(dataset: DatasetReader) -> Any:
            asked.append(name)
            return own.__get__(dataset)

        return property(answer)

    counting = type("Counting", (DatasetReader,), {name: counted(name) for name in ASKED})
    monkeypatch.setattr(rasterio.io, "DatasetReader", counting)
    found = []
    for count in (5, 40):
        data = numpy.random.default_rng(1).integers(0, 200, (count, 20, 30)).astype("uint8")
        path = write_raster(tmp_path / f"{count}.tif", data)
        asked.clear()
        convert(plan_of(path, **options), [str(path)], str(tmp_path / f"{count}-cog.tif"), threads=1)
        with rasterio.open(tmp_path / f"{count}-cog.tif") as cog:
            assert cog.count == count
        found.append({name: asked.count(name) for name in ASKED})
    assert found[0] == found[1]
    assert sum(found[0].values()) > 0


def test_a_mask_made_of_all_bands_is_made_once_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    class Counting(DatasetReader):  # type: ignore[misc]
        def read_masks(self, indexes: int, **kwargs: Any) -> Any:
            read.append(indexes)
            return super().read_masks(indexes, **kwargs)

    found = []
    for count in (4, 16):
        data = numpy.random.default_rng(1).integers(0, 3, (count, 20, 30)).astype("uint8")
        path = write_raster(tmp_path / f"{count}.tif", data, nodata=0)
        cog, plan = tmp_path / f"{count}-cog.tif", plan_of(path, nodata="mask")
        convert(plan, [str(path)], str(cog), threads=1)
        read.clear()
        with monkeypatch.context() as patched:
            patched.setattr(rasterio.io, "DatasetReader", Counting)
            compare(plan, [str(path)], str(cog), go_on)
        found.append(len(read))
    assert 0 < found[1] <= 4 * found[0]
