"""A worker ends itself with SIGKILL while it loads items; `./test --chaos` tries all points."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.catalog_crash_points import CATALOG_POINTS_BY_NAME
from tests.chaos.catalog_shapes import CATALOG_SHAPES
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

SELECTED = [
    "load: written, not counted",
    "load: committed, statistics in the queue",
]


@pytest.fixture(scope="module")
def host(
    postgres_server: PostgresServer,
    catalog_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CrashHost]:
    """The app with one worker and a catalog; another worker follows each that dies."""
    with crash_host(
        postgres_server,
        catalog_template,
        storage_connection_string,
        tmp_path_factory.mktemp("crashes"),
        environment=SHORT,
        shapes=CATALOG_SHAPES,
    ) as started:
        yield started


@pytest.mark.parametrize("name", SELECTED)
def test_a_load_survives_the_death_of_its_worker(host: CrashHost, name: str) -> None:
    point = CATALOG_POINTS_BY_NAME[name]
    _, died = host.trial(point.shape, point.steps, uuid.uuid4().hex[:12])
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
