"""Files of strangers are opened without a look at anything else of the machine, or at any server.

Through the openers that all jobs share, with every pixel and every feature read. The same files go through
the jobs themselves in tests/integration/security.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.settings import Settings
from services.cog.resources import Resources
from services.listing import DescribeBlob, DescribeBlobParameters
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener
from services.raster_validation import ValidateRaster, ValidateRasterParameters
from services.vector.files import VectorOpener
from services.vector.validating import ValidateVector, ValidateVectorParameters
from tests import hostile_rasters, hostile_vectors
from tests.doubles.listener import Listener
from tests.doubles.memory_blobs import MemoryBlobs
from tests.hostile_machine import Machine
from tests.unit.services.doubles import Context

UNGUARDED = """
import sys
import pyogrio, rasterio
for path in sys.argv[1:]:
    try:
        print(rasterio.open(path).read().max(), rasterio.open(path).files)
    except Exception as error:
        print(error)
    try:
        print(pyogrio.raw.read(path)[3])
    except Exception as error:
        print(error)
"""


class FolderBlobs(MemoryBlobs):
    """Blobs that GDAL reads as files of a folder: beside them, and above, is all of the machine."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._folder = folder
        for name, content in files.items():
            self.write("bronze", name, content)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def gdal_path(self, container: str, name: str) -> str:
        return str(self._folder / name)

    def gdal_options(self) -> dict[str, str]:
        return {}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    # As where the platform's own endpoints are not asked through a proxy.
    monkeypatch.setenv("no_proxy", "*")
    with Listener() as listener:
        yield Machine(tmp_path / "machine", listener)


def test_gdal_left_alone_would_read_and_ask(machine: Machine, tmp_path: Path) -> None:
    """That the files are hostile, and that it would be noticed."""
    rasters = hostile_rasters.files(machine.raster, machine.text, machine.url)
    vectors = hostile_vectors.files(machine.vector, machine.text, machine.url, tmp_path)
    contents = {
        "local.vrt": rasters["virtual/local.vrt"],
        "remote.vrt": rasters["virtual/remote.vrt"],
        "features.vrt": vectors["virtual/local.vrt"],
        "link.geojson": vectors["crs/link.geojson"],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in contents]
    command = [sys.executable, "-c", UNGUARDED, *paths]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "no_proxy": "*"}
    )
    assert f"{hostile_rasters.CANARY} ['{paths[0]}', '{machine.raster}']" in done.stdout
    assert machine.leaks(done.stdout) == {"attribute"}
    assert {line.split()[1] for line in machine.listener.connections} >= {"/x.tif", "/crs"}


def test_rasters_are_read_without_what_they_refer_to(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    files = hostile_rasters.files(machine.raster, machine.text, machine.url)
    blobs = FolderBlobs(tmp_path / "blobs", files)
    opener, resources = RasterOpener(blobs), Resources(Settings(scratch_folder=tmp_path))
    describe = DescribeBlob(blobs, RasterInspector(opener))
    validate = ValidateRaster(blobs, opener, resources)
    said: dict[str, str] = {}
    for name, content in files.items():
        place: dict[str, Any] = {"container": "bronze", "name": name}
        asked = {**place, "size": len(content), "metadata_level": "full", "statistics": True}
        described = describe(DescribeBlobParameters.model_validate(asked), Context())
        verdict = validate(ValidateRasterParameters.model_validate(place), Context())
        said[name] = f"{described.model_dump_json()}\n{verdict.model_dump_json()}"

    assert machine.listener.connections == []
    assert machine.leaks("\n".join(said.values()) + caplog.text) == set()
    seen = {name for name, text in said.items() if f":{hostile_rasters.CANARY}.0" in text}
    assert seen == set()
    for name in ("virtual/local.vrt", "virtual/local.tif", "hierarchical/link.h5", "tags/remote.tif"):
        assert '"invalid"' in said[name] or '"not_raster"' in said[name], said[name]
    for name in (
        "beside/grid-local.tif",
        "beside/grid-remote.tif",
        "beside/init.tif",
        "hierarchical/init.nc",
    ):
        assert "names a file that PROJ would read" in said[name], said[name]


def test_vectors_are_read_without_what_they_refer_to(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "made").mkdir()
    files = hostile_vectors.files(machine.vector, machine.text, machine.url, tmp_path / "made")
    blobs = FolderBlobs(tmp_path / "blobs", files)
    tables: Any = Mock()
    opener = VectorOpener(blobs, Resources(Settings(scratch_folder=tmp_path)))
    validate = ValidateVector(blobs, opener, tables)
    options = {"assume_crs": "EPSG:4326"}
    said: dict[str, str] = {}
    for name in files:
        parameters = {"container": "bronze", "name": name, "options": options}
        try:
            verdict = validate(ValidateVectorParameters.model_validate(parameters), Context())
            said[name] = verdict.model_dump_json()
        except PermanentTaskError as error:
            said[name] = error.detail

    assert machine.listener.connections == []
    assert machine.leaks("\n".join(said.values()) + caplog.text) == set()
    for name in ("crs/init.geojson", "shape/u.shp", "xml/init.gml", "database/init.gpkg"):
        assert "its CRS names a file" in said[name], said[name]
    for name in ("virtual/local.geojson", "xml/entity.kml", "archive/link.zip", "database/virtual.gpkg"):
        assert "refused" in said[name] or "not followed" in said[name], said[name]
    for name in ("link.geojson", "url.geojson", "name.geojson", "file.geojson", "link.topojson"):
        assert "its crs is a link to" in said[f"crs/{name}"], said[f"crs/{name}"]
