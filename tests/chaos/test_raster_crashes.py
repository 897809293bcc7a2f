"""A worker dies at every point of a conversion: readers see the old COG or the new, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.raster_crash_points import RASTER_CRASH_POINTS
from tests.chaos.raster_shapes import RASTER_SHAPES
from tests.chaos.raster_trial import trial

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host_with(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Mapping[str, str]], tuple[CrashHost, Path]]]:
    """Hosts by their environment, each with its folder of temporary files; each is started once."""
    hosts: dict[object, tuple[CrashHost, Path]] = {}
    with ExitStack() as running:

        def get(environment: Mapping[str, str]) -> tuple[CrashHost, Path]:
            key = tuple(sorted(environment.items()))
            if key not in hosts:
                folder, scratch = tmp_path_factory.mktemp("host"), tmp_path_factory.mktemp("scratch")
                host = crash_host(
                    postgres_server,
                    migrated_template,
                    storage_connection_string,
                    folder,
                    environment={**environment, "SCRATCH_FOLDER": str(scratch)},
                    shapes=RASTER_SHAPES,
                )
                hosts[key] = running.enter_context(host), scratch
            return hosts[key]

        yield get


@pytest.mark.parametrize("point", RASTER_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_a_conversion(
    host_with: Callable[[Mapping[str, str]], tuple[CrashHost, Path]], point: CrashPoint
) -> None:
    host, scratch = host_with({**SHORT, **point.environment})
    figures = trial(host, scratch, point)
    report("rasters", point.name, {"shape": point.shape, "then": point.then, **figures})


def test_conversions_end_rightly_when_nobody_dies(
    host_with: Callable[[Mapping[str, str]], tuple[CrashHost, Path]],
) -> None:
    host, _ = host_with(SHORT)
    for name, shape in RASTER_SHAPES.items():
        if shape.status == "completed":
            host.trial(name, [])
