"""A worker ends itself with SIGKILL at points that matter most; `./test --chaos` tries all there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import CrashHost, crash_host
from tests.chaos.crash_points import BY_NAME

pytestmark = pytest.mark.timeout(120)

SELECTED = [
    "submit: after the commit, nothing sent",
    "send: after the job's message, not marked",
    "plan: claimed",
    "fan-out: sealed, before the COMMIT",
    "claim: after the commit",
    "complete: between completing and advancing",
    "reconcile: ended leases queued again, nothing sent",
    "send: the job's message sent, never answered",
    "put off: committed, its message not sent",
    "removal: the job out of sight",
]


@pytest.fixture(scope="module")
def host(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CrashHost]:
    """The app with one worker; another one follows each that dies."""
    folder = tmp_path_factory.mktemp("crashes")
    with crash_host(postgres_server, migrated_template, storage_connection_string, folder) as started:
        yield started


@pytest.mark.parametrize("name", SELECTED)
def test_a_job_survives_the_death_of_its_worker(host: CrashHost, name: str) -> None:
    point = BY_NAME[name]
    _, died = host.trial(point.shape, point.steps)
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
