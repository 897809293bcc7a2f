"""Whose fault it was that GDAL could not read a blob: storage is asked, and has the last word."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from unittest.mock import Mock

import pytest
from azure.storage.blob import ContainerClient
from rasterio.errors import RasterioIOError

from interfaces.errors import AccessDenied, BlobNotFound, DependencyUnavailable, ServiceUnavailable
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener


@pytest.mark.parametrize(
    "said", ["HTTP response code: 403", "HTTP response code: 503", "CURL error: timed out"]
)
def test_what_gdal_says_of_the_network_is_no_fault_of_the_file(
    storage_connection_string: str,
    container: Callable[[], ContainerClient],
    monkeypatch: pytest.MonkeyPatch,
    said: str,
) -> None:
    def unreadable(path: str, drivers: list[str]) -> NoReturn:
        raise RasterioIOError(said)

    monkeypatch.setattr("services.raster_opening._open", unreadable)
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    name = str(container().container_name)
    blobs.write(name, "a.tif", b"II*\x00")
    listed = blobs.properties(name, "a.tif")
    inspector = RasterInspector(RasterOpener(blobs))

    with pytest.raises(ServiceUnavailable, match="did not answer while the raster was read"):
        inspector.inspect(name, listed)
    # Refused or missing, it fails for good; and an outage is noticed as that.
    unavailable = DependencyUnavailable("down", dependency="blob", retry_after=9)
    for error in (AccessDenied("refused"), BlobNotFound("gone"), unavailable):
        monkeypatch.setattr(AzureBlobRepository, "properties", Mock(side_effect=error))
        with pytest.raises(type(error)):
            inspector.inspect(name, listed)
