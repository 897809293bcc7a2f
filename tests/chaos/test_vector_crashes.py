"""A worker dies at every point of a load: readers see the old table or the new, and nothing is left."""

from __future__ import annotations

import pytest

from tests.chaos.crash_harness import SHORT, CrashHosts, HostWith, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.vector_crash_points import VECTOR_CRASH_POINTS
from tests.chaos.vector_shapes import VECTOR_SHAPES
from tests.chaos.vector_trial import trial

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host_with(crash_hosts: CrashHosts, migrated_template: str) -> HostWith:
    return crash_hosts(migrated_template, VECTOR_SHAPES)


@pytest.mark.parametrize("point", VECTOR_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_a_load(host_with: HostWith, point: CrashPoint) -> None:
    figures = trial(host_with({**SHORT, **point.environment}), point)
    report("vectors", point.name, {"shape": point.shape, "then": point.then, **figures})
