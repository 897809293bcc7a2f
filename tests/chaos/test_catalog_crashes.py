"""A worker dies at every point of filling and setting up the catalog: nothing is lost, nothing is doubled."""

from __future__ import annotations

import uuid

import pytest

from tests.chaos.catalog_crash_points import CATALOG_CRASH_POINTS
from tests.chaos.catalog_shapes import CATALOG_SHAPES
from tests.chaos.crash_harness import SHORT, CrashHosts, HostWith, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.raster_shapes import SCRATCH, blobs, clean_up

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host_with(crash_hosts: CrashHosts, catalog_template: str) -> HostWith:
    return crash_hosts(catalog_template, CATALOG_SHAPES)


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
