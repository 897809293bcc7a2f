"""Files beside a raster that belong to it: used where they are what they must be, never followed further."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
import rasterio.shutil

from repositories.blobs import AzureBlobRepository
from services.raster_inspection import RasterInspector
from services.raster_report import RasterMetadata, UnreadableRaster

from .test_raster_inspection import blobs, inspect, inspector, name, raster_bytes

__all__ = ["blobs", "inspector", "name"]
"""Fixtures."""


def test_sidecars_are_found_used_and_counted(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    blobs.write(name, "x/a.b.tif", raster_bytes(tmp_path, crs=None, transform=None))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(tmp_path / "made.tif", "r+") as dataset,
    ):
        dataset.write_mask(True)
    blobs.write(name, "x/a.b.tif.msk", (tmp_path / "made.tif.msk").read_bytes())
    blobs.write(name, "x/a.b.tfw", b"10\n0\n0\n-10\n500005\n5599995\n")
    blobs.write(name, "x/a.b.txt", b"not a sidecar")
    blobs.write(name, "x/a.b.c.tif.msk", b"another one's")

    report = inspect(inspector, blobs, name, "x/a.b.tif")

    assert isinstance(report, RasterMetadata)
    assert report.sidecars == ["x/a.b.tfw", "x/a.b.tif.msk"]
    assert report.bands[0].mask_flags == ["per_dataset"]
    assert report.transform == [10, 0, 500_000, 0, -10, 5_600_000]


@pytest.mark.parametrize("blob", ["a b.tif", "a,b.tif", "x y/a.tif", "x, y/a, b.tif"])
def test_sidecars_are_used_whatever_the_name(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path, blob: str
) -> None:
    blobs.write(name, blob, raster_bytes(tmp_path, size=64))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(tmp_path / "made.tif", "r+") as dataset,
    ):
        dataset.write_mask(True)
    blobs.write(name, f"{blob}.msk", (tmp_path / "made.tif.msk").read_bytes())

    report = inspect(inspector, blobs, name, blob)

    assert isinstance(report, RasterMetadata)
    assert report.sidecars == [f"{blob}.msk"]
    assert report.bands[0].mask_flags == ["per_dataset"]


def test_erdas_imagines_files_need_names_that_gdal_can_be_told(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    blobs.write(name, "a b.img", raster_bytes(tmp_path, size=64, driver="HFA"))
    blobs.write(name, "a b.rrd", b"EHFA_HEADER_TAG")

    report = inspect(inspector, blobs, name, "a b.img")

    assert isinstance(report, UnreadableRaster)
    assert "space or a comma" in report.reason


VRT = b"""<VRTDataset rasterXSize="64" rasterYSize="64">
<Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativetoVRT="0">/etc/passwd
</SourceFilename></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("suffix", ["msk", "ovr", "msk.ovr"])
@pytest.mark.parametrize("content", [VRT, b"<GDAL_WMS></GDAL_WMS>", b""])
def test_masks_and_overviews_of_other_formats_are_not_followed(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    name: str,
    tmp_path: Path,
    suffix: str,
    content: bytes,
) -> None:
    blobs.write(name, "a.tif", raster_bytes(tmp_path, size=64))
    blobs.write(name, f"a.tif.{suffix}", content)

    report = inspect(inspector, blobs, name, "a.tif")

    assert isinstance(report, UnreadableRaster)
    assert report.status == "refused"
    assert f"its sidecar a.tif.{suffix} is no TIFF" in report.reason


@pytest.mark.parametrize("suffix", ["msk", "ovr"])
def test_masks_and_overviews_that_name_other_files_are_not_followed(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path, suffix: str
) -> None:
    blobs.write(name, "a.tif", raster_bytes(tmp_path, size=64))
    with rasterio.open(tmp_path / "made.tif", "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/etc/passwd")
    blobs.write(name, f"a.tif.{suffix}", (tmp_path / "made.tif").read_bytes())

    report = inspect(inspector, blobs, name, "a.tif")

    assert isinstance(report, UnreadableRaster)
    assert f"its sidecar a.tif.{suffix} names another file" in report.reason
