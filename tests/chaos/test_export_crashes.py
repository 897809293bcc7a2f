"""A worker dies at every point of an export: readers see the old file or the whole new one, no part of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.crash_harness import SHORT, CrashHost, CrashHosts, HostWith, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.export_crash_points import EXPORT_CRASH_POINTS
from tests.chaos.export_shapes import COUNT, EXPORT_SHAPES, OLD, TARGET, features, name_of
from tests.chaos.raster_shapes import SCRATCH, blobs, clean_up

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host_with(crash_hosts: CrashHosts, migrated_template: str) -> HostWith:
    return crash_hosts(migrated_template, EXPORT_SHAPES)


@contextmanager
def reading(host: CrashHost, name: str) -> Iterator[set[bytes]]:
    """Read the target over and over; all that was there."""
    seen: set[bytes] = set()
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.1):
            seen.update(blobs(host, TARGET, name).values())

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(30)


@pytest.mark.parametrize("point", EXPORT_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_an_export(host_with: HostWith, point: CrashPoint) -> None:
    host = host_with({**SHORT, **point.environment})
    label = uuid.uuid4().hex[:12]
    asked = dict(EXPORT_SHAPES[point.shape].parameters)
    with reading(host, name_of(label, asked)) as seen:
        job_id, died = host.trial(point.shape, point.steps, label)
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
    assert (OLD in seen) == (asked["overwrite"] == "always")
    assert {features(content) for content in seen - {OLD}} <= {COUNT}
    clean_up(host, job_id)
    assert blobs(host, SCRATCH, job_id) == {}
    # Whoever read for the dead worker holds nothing: the table can be replaced.
    host.execute(f"SET lock_timeout = '5s'; DROP TABLE features.t_{label}")
    assert host.app.violations() == 0
    report("exports", point.name, {"shape": point.shape, "then": point.then, "contents": len(seen)})
