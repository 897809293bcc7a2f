"""A worker dies at every point of filling and setting up the catalog: nothing is lost, nothing is doubled."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.catalog_crash_points import CATALOG_CRASH_POINTS
from tests.chaos.catalog_shapes import CATALOG_SHAPES
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.raster_shapes import SCRATCH, blobs, clean_up

pytestmark = [pytest.mark.chaos]

HostWith = Callable[[Mapping[str, str]], CrashHost]


@pytest.fixture(scope="module")
def host_with(
    postgres_server: PostgresServer,
    catalog_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[HostWith]:
    """Hosts by their environment; each is started once."""
    hosts: dict[object, CrashHost] = {}
    with ExitStack() as running:

        def get(environment: Mapping[str, str]) -> CrashHost:
            key = tuple(sorted(environment.items()))
            if key not in hosts:
                host = crash_host(
                    postgres_server,
                    catalog_template,
                    storage_connection_string,
                    tmp_path_factory.mktemp("host"),
                    environment=environment,
                    shapes=CATALOG_SHAPES,
                )
                hosts[key] = running.enter_context(host)
            return hosts[key]

        yield get


@pytest.mark.parametrize("point", CATALOG_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_a_job_of_the_catalog(
    host_with: HostWith, point: CrashPoint
) -> None:
    host = host_with({**SHORT, **point.environment})
    job_id, died = host.trial(point.shape, point.steps, uuid.uuid4().hex[:12])
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
    clean_up(host, job_id)
    assert blobs(host, SCRATCH, job_id) == {}
    report("catalog", point.name, {"shape": point.shape, "then": point.then})


def test_jobs_of_the_catalog_end_rightly_when_nobody_dies(host_with: HostWith) -> None:
    host = host_with(SHORT)
    for name, shape in CATALOG_SHAPES.items():
        if shape.status == "completed":
            host.trial(name, [], uuid.uuid4().hex[:12])
