"""Every raster of the corpus, read by ranges from a real blob service, against rasterio on the local file."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy
import pytest
import rasterio
import rasterio.shutil
from azure.storage.blob import BlobServiceClient, ContainerClient
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener
from services.raster_report import RasterMetadata, RasterReport, UnreadableRaster

MEGABYTE = 1024**2
MakeContainer = Callable[[], ContainerClient]


@pytest.fixture(scope="module")
def blobs(storage_connection_string: str) -> AzureBlobRepository:
    return AzureBlobRepository(StorageAccount(storage_connection_string))


@pytest.fixture(scope="module")
def inspector(blobs: AzureBlobRepository) -> RasterInspector:
    return RasterInspector(RasterOpener(blobs))


def inspect(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    container: str,
    blob: str,
    *,
    statistics: bool = False,
) -> RasterReport:
    return inspector.inspect(container, blobs.properties(container, blob), statistics=statistics)


@pytest.fixture(scope="module")
def uploaded(
    storage_connection_string: str, blobs: AzureBlobRepository, corpus: Path
) -> Iterator[tuple[str, Path]]:
    """The corpus in a container of its own."""
    name = "corpus-for-inspection"
    blobs.ensure_container(name)
    files = [path for path in corpus.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda path: blobs.write(name, str(path.relative_to(corpus)), path.read_bytes()), files)
        )
    yield name, corpus
    with BlobServiceClient.from_connection_string(storage_connection_string) as service:
        service.delete_container(name)


def same(one: object, other: object) -> bool:
    """Equal, where NaN is equal to NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return one == other


def number(value: object) -> object:
    """A number of a report as rasterio gives it."""
    return float(value) if isinstance(value, str | int | float) else value


def assert_agrees(report: RasterMetadata, path: Path) -> None:
    """The report says what rasterio says of the local file."""
    with rasterio.open(path) as local:
        with suppress(CPLE_BaseError):
            # What PROJ could not say of the CRS would be raised by whatever is asked next.
            _ = local.crs, local.colorinterp
        assert report.driver == local.driver
        assert (report.width, report.height, report.band_count) == (local.width, local.height, local.count)
        assert report.dtypes == list(local.dtypes)
        assert [list(shape) for shape in local.block_shapes] == report.block_shapes
        assert report.transform == list(local.transform)[:6]
        assert report.bounds == list(local.bounds)
        for band in report.bands:
            at = band.index - 1
            assert same(number(band.nodata), local.nodatavals[at])
            assert band.color_interpretation == local.colorinterp[at].name
            assert band.mask_flags == [flag.name for flag in local.mask_flag_enums[at]]
            assert band.description == local.descriptions[at]
        if local.count:
            assert report.overviews == local.overviews(1)
        assert report.compression == local.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION")
        assert report.tags == {key: value[:1000] for key, value in local.tags().items()}
        assert len(report.subdatasets) == len(local.subdatasets)
        if report.crs is None:
            assert not local.crs
        elif report.crs.epsg is not None:
            assert report.crs.epsg == local.crs.to_epsg()
        else:
            assert rasterio.CRS.from_wkt(report.crs.wkt2) == local.crs


def test_every_file_of_the_corpus_is_accounted_for(
    inspector: RasterInspector, blobs: AzureBlobRepository, uploaded: tuple[str, Path]
) -> None:
    name, corpus = uploaded
    listed = [item.name for page in blobs.list_pages(name) for item in page]
    with ThreadPoolExecutor(8) as pool:
        reports = dict(
            zip(listed, pool.map(lambda blob: inspect(inspector, blobs, name, blob), listed), strict=True)
        )

    assert len(reports) == sum(1 for path in corpus.rglob("*") if path.is_file())
    for blob, report in reports.items():
        if isinstance(report, RasterMetadata):
            assert_agrees(report, corpus / blob)
            assert report.bytes_read is not None
            if (corpus / blob).stat().st_size > MEGABYTE:
                assert report.bytes_read < 0.1 * (corpus / blob).stat().st_size, blob
        else:
            assert report.reason, blob


def test_what_the_corpus_calls_a_raster_is_readable_unless_it_is_a_reference(
    inspector: RasterInspector, blobs: AzureBlobRepository, uploaded: tuple[str, Path]
) -> None:
    name, corpus = uploaded
    with (corpus / "MANIFEST.csv").open(newline="") as manifest:
        rasters = [row["file"] for row in csv.DictReader(manifest) if row["kind"] == "raster"]

    for blob in rasters:
        report = inspect(inspector, blobs, name, blob)
        if blob.endswith(".vrt"):
            assert isinstance(report, UnreadableRaster)
            assert report.status == "refused"
        else:
            assert isinstance(report, RasterMetadata), (blob, report)


@pytest.mark.parametrize(
    ("blob", "status"),
    [
        ("bad/mapnik+test-data/blank.tiff", "empty"),
        ("bad/mapnik+test-data/cannot_read_a_vrt.vrt", "refused"),
        ("bad/mmomtchev+node-gdal-async/huge-sparse.tiff", "refused"),
        ("bad/mmomtchev+node-gdal-async/truncated.tiff", "truncated"),
        ("bad/mmomtchev+node-gdal-async/invalid", "not_raster"),
        ("bad/python-pillow+Pillow/libtiff_segfault.tif", "refused"),
        ("bad/python-pillow+Pillow/oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif", "broken"),
        ("bad/python-pillow+Pillow/crash-2020-10-test.tif", "truncated"),
        ("bad/rasterio+rasterio/corrupt.tif", "truncated"),
        ("bad/image-rs+image-tiff/sample-get-lzw-stuck.tiff", "truncated"),
        ("bad/snyk+zip-slip-vulnerability/zip-slip.zip", "not_raster"),
        ("bad/libkml+libkml/billion.kml", "not_raster"),
    ],
)
def test_bad_files_are_named_as_what_they_are_and_harm_nothing(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    uploaded: tuple[str, Path],
    blob: str,
    status: str,
) -> None:
    report = inspect(inspector, blobs, uploaded[0], blob, statistics=True)

    assert isinstance(report, UnreadableRaster), report
    assert (report.status, bool(report.reason)) == (status, True)


def test_statistics_of_the_corpus_are_made_or_refused_with_a_reason(
    inspector: RasterInspector, blobs: AzureBlobRepository, uploaded: tuple[str, Path]
) -> None:
    name, corpus = uploaded
    for blob in sorted(str(path.relative_to(corpus)) for path in (corpus / "raster").rglob("*.tif")):
        report = inspect(inspector, blobs, name, blob, statistics=True)
        if isinstance(report, RasterMetadata) and report.statistics is None:
            assert report.statistics_reason, blob
        elif isinstance(report, RasterMetadata) and report.statistics and report.statistics.source == "all":
            with rasterio.open(corpus / blob) as local:
                try:
                    data = local.read(1, masked=True)
                except RasterioError:
                    continue
            made = report.bands[0].statistics
            assert made is not None
            valid = data.compressed()
            valid = valid[~numpy.isnan(valid)] if valid.dtype.kind == "f" else valid
            assert made.minimum == (None if valid.size == 0 else pytest.approx(valid.min().item())), blob
