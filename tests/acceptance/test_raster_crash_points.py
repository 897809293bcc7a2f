"""A worker ends itself with SIGKILL while it converts a raster; `./test --chaos` tries all points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host
from tests.chaos.raster_crash_points import RASTER_POINTS_BY_NAME
from tests.chaos.raster_shapes import RASTER_SHAPES
from tests.chaos.raster_trial import trial

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

SELECTED = [
    "tile: uploaded, not completed",
    "publish: row, scratch not deleted",
]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of temporary files."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def host(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
    scratch: Path,
) -> Iterator[CrashHost]:
    """The app with one worker; another one follows each that dies."""
    with crash_host(
        postgres_server,
        migrated_template,
        storage_connection_string,
        tmp_path_factory.mktemp("crashes"),
        environment={**SHORT, "SCRATCH_FOLDER": str(scratch)},
        shapes=RASTER_SHAPES,
    ) as started:
        yield started


@pytest.mark.parametrize("name", SELECTED)
def test_a_conversion_survives_the_death_of_its_worker(host: CrashHost, scratch: Path, name: str) -> None:
    trial(host, scratch, RASTER_POINTS_BY_NAME[name])
