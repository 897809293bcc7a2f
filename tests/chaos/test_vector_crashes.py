"""A worker dies at every point of a load: readers see the old table or the new, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.vector_crash_points import VECTOR_CRASH_POINTS
from tests.chaos.vector_shapes import VECTOR_SHAPES
from tests.chaos.vector_trial import trial

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host_with(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Mapping[str, str]], CrashHost]]:
    """Hosts by their environment; each is started once."""
    hosts: dict[object, CrashHost] = {}
    with ExitStack() as running:

        def get(environment: Mapping[str, str]) -> CrashHost:
            key = tuple(sorted(environment.items()))
            if key not in hosts:
                host = crash_host(
                    postgres_server,
                    migrated_template,
                    storage_connection_string,
                    tmp_path_factory.mktemp("host"),
                    environment=environment,
                    shapes=VECTOR_SHAPES,
                )
                hosts[key] = running.enter_context(host)
            return hosts[key]

        yield get


@pytest.mark.parametrize("point", VECTOR_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_a_load(
    host_with: Callable[[Mapping[str, str]], CrashHost], point: CrashPoint
) -> None:
    figures = trial(host_with({**SHORT, **point.environment}), point)
    report("vectors", point.name, {"shape": point.shape, "then": point.then, **figures})
