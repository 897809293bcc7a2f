"""A worker dies at every point of what follows a job: it is told at least once, and followed once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.ports import LOOPBACK
from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host, report
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.follow_crash_points import FOLLOW_CRASH_POINTS
from tests.chaos.follow_shapes import FOLLOW_SHAPES, RECEIVED, URL, listening

pytestmark = [pytest.mark.chaos]


@pytest.fixture(scope="module")
def host(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CrashHost]:
    """A host that may call a receiver of this process."""
    with listening() as (port, received):
        local = {
            "CALLBACK_HOSTS": f"{LOOPBACK}:{port}",
            "CALLBACK_SECRET": "whsec_" + "QUFB" * 8,
            "CALLBACK_ALLOW_HTTP": "true",
            "CALLBACK_ALLOW_PRIVATE": "true",
        }
        with crash_host(
            postgres_server,
            migrated_template,
            storage_connection_string,
            tmp_path_factory.mktemp("host"),
            environment={**SHORT, **local},
            shapes=FOLLOW_SHAPES,
        ) as started:
            started.notes |= {URL: f"http://{LOOPBACK}:{port}/hook", RECEIVED: received}
            yield started


@pytest.mark.parametrize("shape", FOLLOW_SHAPES)
def test_all_of_it_happens_when_nobody_dies(host: CrashHost, shape: str) -> None:
    assert host.trial(shape, [])[1] == []


@pytest.mark.parametrize("point", FOLLOW_CRASH_POINTS, ids=lambda point: point.name)
def test_a_worker_may_die_at_every_point_of_what_follows(host: CrashHost, point: CrashPoint) -> None:
    _, died = host.trial(point.shape, point.steps)
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
    report("follow-ups", point.name, {"shape": point.shape, "then": point.then, "died": len(died)})
