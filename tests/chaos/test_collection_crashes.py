"""A worker dies at every point of a job about a collection: what it writes is whole, and there once."""

from __future__ import annotations

import uuid

import pytest

from tests.chaos.collection_crash_points import COLLECTION_CRASH_POINTS
from tests.chaos.collection_shapes import COLLECTION_SHAPES
from tests.chaos.crash_harness import SHORT, CrashHost, CrashHosts, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.raster_shapes import SCRATCH, blobs, clean_up

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host(crash_hosts: CrashHosts, catalog_template: str) -> CrashHost:
    """The app with one worker and a catalog; another worker follows each that dies."""
    return crash_hosts(catalog_template, COLLECTION_SHAPES)(SHORT)


@pytest.mark.parametrize("point", COLLECTION_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_a_job_about_a_collection(
    host: CrashHost, point: CrashPoint
) -> None:
    job_id, died = host.trial(point.shape, point.steps, uuid.uuid4().hex[:12])
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
    clean_up(host, job_id)
    assert blobs(host, SCRATCH, job_id) == {}
    report("collections", point.name, {"shape": point.shape, "then": point.then})
