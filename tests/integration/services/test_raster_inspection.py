"""Rasters read by ranges from a real blob service."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil
from azure.storage.blob import ContainerClient
from rasterio.transform import from_origin

from interfaces.errors import BlobNotFound, ServiceUnavailable
from repositories import usage
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from repositories.traffic import BLOB_TRAFFIC
from services.gdal_session import FORGET_AFTER, GdalSessions
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


@pytest.fixture
def name(container: MakeContainer) -> str:
    return str(container().container_name)


def raster_bytes(folder: Path, *, size: int = 1024, **profile: Any) -> bytes:
    """A GeoTIFF of `size`² random pixels."""
    path = folder / "made.tif"
    count = profile.pop("count", 1)
    data = numpy.random.default_rng(1).integers(0, 255, (count, size, size), "uint8")
    options = {"driver": "GTiff", "crs": "EPSG:32632", "transform": from_origin(500_000, 5_600_000, 10, 10)}
    with rasterio.open(
        path, "w", width=size, height=size, count=count, dtype="uint8", **{**options, **profile}
    ) as dataset:
        dataset.write(data)
    return path.read_bytes()


def inspect(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    container: str,
    blob: str,
    *,
    statistics: bool = False,
) -> RasterReport:
    return inspector.inspect(container, blobs.properties(container, blob), statistics=statistics)


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"tiled": True, "blockxsize": 256, "blockysize": 256},
        {"driver": "COG", "compress": "deflate", "blocksize": 256},
        {"driver": "COG", "BIGTIFF": "YES"},
    ],
)
def test_less_than_a_tenth_of_a_large_raster_is_read(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    name: str,
    tmp_path: Path,
    profile: dict[str, object],
) -> None:
    data = raster_bytes(tmp_path, size=2048, **profile)
    blobs.write(name, "a.tif", data)
    tally, token = usage.begin()
    before = BLOB_TRAFFIC.read

    report = inspect(inspector, blobs, name, "a.tif")

    usage.end(token)
    assert isinstance(report, RasterMetadata)
    assert report.bytes_read is not None
    assert 0 < report.bytes_read < 0.1 * len(data)
    # What GDAL reads is a part of it, and of what its task took; these blobs count nothing themselves.
    assert 0 < tally.bytes_read <= report.bytes_read
    # What operators are told of the process has it all, what GDAL read by range among it.
    assert BLOB_TRAFFIC.read - before == report.bytes_read
    assert report.fraction_read == pytest.approx(report.bytes_read / len(data))
    assert report.cog is not None
    assert report.cog.strict_valid is (profile.get("driver") == "COG")
    assert report.cog.valid is bool(profile)


TILES = {"tiled": True, "blockxsize": 256, "blockysize": 256}


@pytest.mark.parametrize(
    ("profile", "source"),
    [
        ({}, "sample"),
        (TILES, "sample"),
        ({**TILES, "compress": "deflate"}, "sample"),
        ({**TILES, "count": 3, "size": 1536, "interleave": "pixel"}, "sample"),
        ({**TILES, "count": 3, "size": 1536, "interleave": "band"}, "sample"),
        ({"driver": "COG", "blocksize": 256}, "overview"),
        ({"driver": "COG", "blocksize": 256, "count": 3, "size": 1536}, "overview"),
        ({"driver": "JP2OpenJPEG", "REVERSIBLE": "YES", "QUALITY": "100", "BLOCKXSIZE": 512}, "sample"),
        ({"driver": "HFA"}, "sample"),
        ({"driver": "BMP"}, "sample"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())) or "strips",
)
def test_statistics_of_a_large_file_are_made_from_about_a_quarter_of_its_bytes(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    name: str,
    tmp_path: Path,
    profile: dict[str, Any],
    source: str,
) -> None:
    if profile.get("driver") == "JP2OpenJPEG":
        profile = {**profile, "BLOCKYSIZE": 512}
    data = raster_bytes(tmp_path, **{"size": 2304, **profile})
    assert len(data) > 4 * MEGABYTE
    blobs.write(name, "a.tif", data)

    report = inspect(inspector, blobs, name, "a.tif", statistics=True)

    assert isinstance(report, RasterMetadata)
    assert report.statistics is not None, report.statistics_reason
    assert (report.statistics.source, report.statistics.approximate) == (source, True)
    assert report.statistics.fraction == report.statistics.pixels / (report.width * report.height)
    assert report.bytes_read is not None
    assert 0 < report.bytes_read < 0.27 * len(data)
    for band in report.bands:
        assert band.statistics is not None
        assert band.statistics.mean == pytest.approx(127, abs=3)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"driver": "PNG"}, "PNG cannot be read in parts"),
        ({"driver": "JPEG", "QUALITY": "100"}, "JPEG cannot be read in parts"),
        ({"tiled": True, "blockxsize": 2560, "blockysize": 2560}, "the smallest part that can be read"),
        (
            {"driver": "JP2OpenJPEG", "REVERSIBLE": "YES", "QUALITY": "100", "BLOCKXSIZE": 4096},
            "the smallest part that can be read",
        ),
    ],
    ids=["PNG", "JPEG", "one block", "one tile"],
)
def test_a_large_file_that_could_only_be_read_whole_has_no_statistics_and_says_so(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    name: str,
    tmp_path: Path,
    profile: dict[str, Any],
    reason: str,
) -> None:
    size = profile.get("blockxsize", 2560)
    if profile.get("driver") == "JP2OpenJPEG":
        raster_bytes(tmp_path, size=size)
        # rasterio drops block sizes larger than the image, which are how GDAL is asked for a single tile.
        options = {**profile, "BLOCKYSIZE": 4096}
        rasterio.shutil.copy(tmp_path / "made.tif", tmp_path / "made.jp2", **options)
        data = (tmp_path / "made.jp2").read_bytes()
    else:
        data = raster_bytes(tmp_path, size=size, **profile)
    assert len(data) > 4 * MEGABYTE
    blobs.write(name, "a.tif", data)

    report = inspect(inspector, blobs, name, "a.tif", statistics=True)

    assert isinstance(report, RasterMetadata)
    assert report.statistics is None
    assert report.statistics_reason is not None
    assert reason in report.statistics_reason
    assert report.bytes_read is not None
    assert report.bytes_read < 0.05 * len(data)


def test_nothing_but_the_raster_is_asked_for(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    """GDAL left alone looks for some 15 siblings of each TIFF and 50 of each JPEG 2000."""
    blobs.write(name, "a.tif", raster_bytes(tmp_path, crs=None, transform=None))
    asked: list[set[str]] = []

    class Watching(GdalSessions):
        def session(self, path: Any, sidecars: Any, options: Any) -> Any:
            context = super().session(path, sidecars, options)
            network = self._network
            end = network._reset

            def reset(files: Any) -> None:
                asked.append(set(files))
                end(files)

            network._reset = reset  # type: ignore[method-assign]
            return context

    report = inspect(RasterInspector(RasterOpener(blobs, Watching())), blobs, name, "a.tif")

    assert isinstance(report, RasterMetadata)
    assert asked == [{f"/vsiaz/{name}/a.tif"}]


@pytest.mark.parametrize(
    "blob", ["x y/ä 1.tif", "a,b.tif", "a#b.tif", "a?b=c&d.tif", "100%.tif", "a+b.tif", "(1)[2]{3}.tif"]
)
def test_any_name_can_be_read(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path, blob: str
) -> None:
    blobs.write(name, blob, raster_bytes(tmp_path, size=64))

    assert isinstance(inspect(inspector, blobs, name, blob), RasterMetadata)


def test_netcdf_is_read_in_any_thread_and_never_whole_when_large(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    """GDAL's netCDF driver waits for ever on a remote file in a thread whose options it does not have."""
    path = tmp_path / "a.nc"
    raster_bytes(tmp_path, size=16)
    rasterio.shutil.copy(tmp_path / "made.tif", path, driver="netCDF")
    blobs.write(name, "small.nc", path.read_bytes())
    blobs.write(name, "large.nc", path.read_bytes() + bytes(2 * MEGABYTE))

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: inspect(inspector, blobs, name, "small.nc"), range(8)))
        large = pool.submit(inspect, inspector, blobs, name, "large.nc").result()

    for report in reports:
        assert isinstance(report, RasterMetadata)
        assert (report.driver, report.width, report.height) == ("netCDF", 16, 16)
    assert isinstance(large, UnreadableRaster)
    assert "cannot be read by ranges" in large.reason


def test_what_gdal_says_of_a_file_is_in_its_report_and_not_in_the_log(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = raster_bytes(tmp_path, size=64, tiled=False)
    with rasterio.open(tmp_path / "made.tif", "r+") as dataset:
        dataset.update_tags(text="x" * 5000)
    whole = (tmp_path / "made.tif").read_bytes()
    assert len(whole) > len(data)
    blobs.write(name, "a.tif", whole[:-3000])

    with caplog.at_level("WARNING"):
        report = inspect(inspector, blobs, name, "a.tif")

    assert isinstance(report, RasterMetadata), report
    assert any("IO error" in warning for warning in report.warnings), report.warnings
    assert "IO error" not in caplog.text


def test_a_blob_that_was_replaced_is_read_anew(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    for size in (64, 128, 32):
        blobs.write(name, "a.tif", raster_bytes(tmp_path, size=size))
        report = inspect(inspector, blobs, name, "a.tif")
        assert isinstance(report, RasterMetadata)
        assert report.width == size


def test_a_blob_that_vanishes_while_it_is_read_is_not_found(
    inspector: RasterInspector,
    blobs: AzureBlobRepository,
    name: str,
    container: MakeContainer,
    tmp_path: Path,
) -> None:
    client = container()
    blobs.write(client.container_name, "a.tif", raster_bytes(tmp_path, size=64))
    properties = blobs.properties(client.container_name, "a.tif")
    client.delete_blob("a.tif")

    with pytest.raises(BlobNotFound):
        inspector.inspect(client.container_name, properties)


def test_storage_that_stops_answering_is_no_fault_of_the_file(
    storage_connection_string: str, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    class Unreachable(AzureBlobRepository):
        """GDAL is sent to a port where nobody listens."""

        def gdal_options(self) -> dict[str, str]:
            parts = [
                part for part in storage_connection_string.split(";") if part and "Endpoint=" not in part
            ]
            nowhere = ";".join([*parts, "BlobEndpoint=http://127.0.0.1:9/devstoreaccount1"])
            return {"AZURE_STORAGE_CONNECTION_STRING": nowhere, "GDAL_HTTP_MAX_RETRY": "0"}

    blobs.write(name, "a.tif", raster_bytes(tmp_path, size=64))
    inspector = RasterInspector(RasterOpener(Unreachable(StorageAccount(storage_connection_string))))

    with pytest.raises(ServiceUnavailable):
        inspect(inspector, blobs, name, "a.tif")


def test_many_threads_count_their_own_bytes(
    inspector: RasterInspector, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    data = raster_bytes(tmp_path, size=1024)
    names = [f"{i:02}.tif" for i in range(40)]
    for blob in names:
        blobs.write(name, blob, data)
    alone = inspect(inspector, blobs, name, names[0])

    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda blob: inspect(inspector, blobs, name, blob), names))

    assert isinstance(alone, RasterMetadata)
    assert {report.bytes_read for report in reports} == {alone.bytes_read}


def test_the_count_stays_exact_when_gdals_statistics_are_emptied_meanwhile(
    blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    data = raster_bytes(tmp_path, size=256)
    blobs.write(name, "a.tif", data)
    blobs.write(name, "b.tif", data)
    sessions = GdalSessions()
    path, options = blobs.gdal_path(name, "a.tif"), blobs.gdal_options()
    started, done = threading.Event(), threading.Event()

    def others() -> None:
        started.wait()
        for _ in range(FORGET_AFTER + 5):
            with (
                sessions.session(blobs.gdal_path(name, "b.tif"), [], options),
                rasterio.open(blobs.gdal_path(name, "b.tif")),
            ):
                pass
        done.set()

    thread = threading.Thread(target=others)
    thread.start()
    with sessions.session(path, [], options) as count, rasterio.open(path) as dataset:
        started.set()
        done.wait(60)
        dataset.read()
    thread.join()

    assert count.value is not None
    assert len(data) <= count.value <= len(data) + 16384
