"""A worker ends itself with SIGKILL while it loads a layer; `./test --chaos` tries all points."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import SHORT, CrashHost, crash_host
from tests.chaos.vector_crash_points import VECTOR_POINTS_BY_NAME
from tests.chaos.vector_shapes import VECTOR_SHAPES
from tests.chaos.vector_trial import trial

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

SELECTED = [
    "prepare: discovered, not completed",
    "load: committed, not completed",
    "publish: old table dropped",
    "append: committed",
]


@pytest.fixture(scope="module")
def host(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CrashHost]:
    """The app with one worker; another one follows each that dies."""
    with crash_host(
        postgres_server,
        migrated_template,
        storage_connection_string,
        tmp_path_factory.mktemp("crashes"),
        environment=SHORT,
        shapes=VECTOR_SHAPES,
    ) as started:
        yield started


@pytest.mark.parametrize("name", SELECTED)
def test_a_load_survives_the_death_of_its_worker(host: CrashHost, name: str) -> None:
    trial(host, VECTOR_POINTS_BY_NAME[name])
