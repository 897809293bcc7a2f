"""validate_raster's handler on a real blob service: made rasters, damaged ones, and the corpus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from azure.storage.blob import ContainerClient
from rasterio.transform import from_origin

from interfaces.errors import PermanentTaskError, TaskCancelled
from interfaces.settings import Settings
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.cog.resources import Resources
from services.raster_opening import RasterOpener
from services.raster_validation import RasterValidity, ValidateRaster, ValidateRasterParameters
from tests.unit.services.doubles import Context

MakeContainer = Callable[[], ContainerClient]


@pytest.fixture(scope="module")
def blobs(storage_connection_string: str) -> AzureBlobRepository:
    return AzureBlobRepository(StorageAccount(storage_connection_string))


@pytest.fixture(scope="module")
def handler(blobs: AzureBlobRepository) -> ValidateRaster:
    return ValidateRaster(blobs, RasterOpener(blobs), Resources(Settings()))


@pytest.fixture
def name(container: MakeContainer) -> str:
    return str(container().container_name)


def made(folder: Path, driver: str = "GTiff", **profile: Any) -> bytes:
    path = folder / "made.tif"
    data = numpy.random.default_rng(1).integers(0, 255, (2, 700, 900), "uint8")
    grid = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_600_000, 10, 10)}
    with rasterio.open(
        path, "w", driver=driver, width=900, height=700, count=2, dtype="uint8", **grid, **profile
    ) as dataset:
        dataset.write(data)
    return path.read_bytes()


def validate(handler: ValidateRaster, container: str, name: str, **asked: Any) -> RasterValidity:
    return handler(ValidateRasterParameters(container=container, name=name, **asked), Context())


def test_every_pixel_of_a_valid_raster_is_read(
    handler: ValidateRaster, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    blobs.write(name, "a.tif", made(tmp_path))
    found = validate(handler, name, "a.tif", read_pixels=True)
    assert (found.verdict, found.reasons) == ("valid", [])
    assert found.pixels_read == 2 * 700 * 900
    assert found.crs == "EPSG:32632"
    assert found.cog is False
    assert validate(handler, name, "a.tif", read_pixels=False).pixels_read == 0


def test_a_raster_that_must_be_a_cog_and_is_none_is_invalid_for_a_reason(
    handler: ValidateRaster, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    blobs.write(name, "plain.tif", made(tmp_path))
    blobs.write(name, "cog.tif", made(tmp_path, "COG"))
    plain = validate(handler, name, "plain.tif", require_cog=True)
    assert plain.verdict == "invalid"
    assert "no strictly valid COG" in plain.reasons[0]
    assert "overviews" in plain.reasons[0]
    assert validate(handler, name, "cog.tif", require_cog=True).verdict == "valid"


def test_a_block_damaged_in_the_middle_is_found_only_by_reading_it(
    handler: ValidateRaster, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    content = bytearray(made(tmp_path, compress="deflate", tiled=True, blockxsize=256, blockysize=256))
    middle = len(content) // 2
    content[middle : middle + 2000] = b"\xff" * 2000
    blobs.write(name, "damaged.tif", bytes(content))
    assert validate(handler, name, "damaged.tif", read_pixels=False).verdict == "valid"
    found = validate(handler, name, "damaged.tif")
    assert found.verdict == "invalid"
    assert "GDAL cannot read it" in found.reasons[0]


def test_a_missing_blob_is_a_verdict_and_a_missing_container_fails_the_task(
    handler: ValidateRaster, name: str
) -> None:
    assert validate(handler, name, "nothing.tif").verdict == "missing"
    with pytest.raises(PermanentTaskError, match="does not exist"):
        validate(handler, "no-such-container", "nothing.tif")


def test_a_cancellation_is_seen_while_pixels_are_read(
    handler: ValidateRaster, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    blobs.write(name, "a.tif", made(tmp_path))
    parameters = ValidateRasterParameters(container=name, name="a.tif")
    with pytest.raises(TaskCancelled):
        handler(parameters, Context(cancelled_after=0))


def test_pixels_are_read_when_there_is_memory_for_them(
    blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    resources = Resources(Settings())
    handler = ValidateRaster(blobs, RasterOpener(blobs), resources)
    blobs.write(name, "a.tif", made(tmp_path))
    started, found = threading.Event(), []

    class Waiting(Context):
        """Looks for a cancellation again and again while it waits."""

        def check(self) -> None:
            started.set()
            super().check()

    def run() -> None:
        found.append(handler(ValidateRasterParameters(container=name, name="a.tif"), Waiting()))

    thread = threading.Thread(target=run)
    with resources.memory(resources.free_bytes, lambda: None):
        thread.start()
        assert started.wait(20)
        thread.join(0.5)
        assert found == [], "it did not wait"
        # Its header takes next to nothing.
        assert validate(handler, name, "a.tif", read_pixels=False).verdict == "valid"
    thread.join(20)
    assert [result.verdict for result in found] == ["valid"]


def test_blocks_that_no_memory_can_hold_make_a_raster_invalid_with_the_figures(
    handler: ValidateRaster, blobs: AzureBlobRepository, name: str, tmp_path: Path
) -> None:
    path, side = tmp_path / "a.tif", 16_384
    tiled = {"tiled": True, "blockxsize": side, "blockysize": side, "compress": "deflate"}
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint8", **tiled
    ) as a:
        a.write(numpy.ones((1, 16, side), "uint8"), window=((0, 16), (0, side)))
    blobs.write(name, "a.tif", path.read_bytes())
    found = validate(handler, name, "a.tif")
    assert found.verdict == "invalid"
    # Two blocks while they are decoded, then one of values, one of their mask and one of what becomes of it.
    assert (
        "its blocks of 16384 × 16384 pixels are too large to be read: they take 1.2 GiB" in found.reasons[0]
    )


def test_every_file_of_the_corpus_gets_a_verdict_with_a_reason(
    handler: ValidateRaster, blobs: AzureBlobRepository, name: str, corpus: Path
) -> None:
    verdicts: dict[str, RasterValidity] = {}
    for path in sorted(path for path in corpus.rglob("*") if path.is_file()):
        blob = str(path.relative_to(corpus))
        if not blob.startswith(("raster/", "bad/")):
            continue
        blobs.write(name, blob, path.read_bytes())
        verdicts[blob] = validate(handler, name, blob)
    counted = Counter((blob.split("/")[0], found.verdict) for blob, found in verdicts.items())
    assert counted["raster", "valid"] >= 60
    assert all(found.reasons for found in verdicts.values() if found.verdict != "valid")
    broken = {
        "bad/rasterio+rasterio/corrupt.tif": "but the file has 298232 bytes",
        "bad/mmomtchev+node-gdal-async/huge-sparse.tiff": "decompression bomb",
        "bad/mapnik+test-data/blank.tiff": "zero bytes",
    }
    for blob, reason in broken.items():
        assert verdicts[blob].verdict == "invalid"
        assert reason in verdicts[blob].reasons[0], verdicts[blob]
