"""What each hot statement reads does not depend on how much there is, and which index sees to that.

Every statement is carried out at two sizes, one twenty times the other; those of the protocol's functions
also without statistics, and with plans that were made for any values. The calls are those of sql/queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from local.stack.postgres import PostgresServer
from repositories.sql_files import queries
from tests.integration.engine.explained import Explained, Reading
from tests.integration.engine.plan_cases import HOT as PROTOCOL
from tests.integration.engine.plan_cases import ONCE_A_STAGE, Case
from tests.integration.engine.plan_follow_ups import FOLLOW_UPS
from tests.integration.engine.plan_scenes import build

HOT = (*PROTOCOL, *FOLLOW_UPS)
SMALL, LARGE = 1000, 20_000
"""Tasks of the stage. The least that grows with them is a tenth."""
SLACK = 60
"""Rows by which two readings may differ that read the same: a page's edge, a plan of another shape."""


@dataclass
class Scenes:
    """The sessions on the small and the large database, under each circumstance."""

    sessions: dict[tuple[str, int], Explained]
    admin: psycopg.Connection[Any]

    def read(self, case: Case, size: int, circumstance: str = "statistics", without: str = "") -> Reading:
        session = self.sessions[circumstance, size]
        query = queries(case.file)[case.query]
        values = case.values(size)
        if without:
            return session.call_without(without, query, values, case.prepare)
        return session.call(query, values, case.prepare)


@pytest.fixture(scope="module")
def scenes(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Scenes]:
    """Databases that no test changes: whatever it does is rolled back."""
    sessions: dict[tuple[str, int], Explained] = {}
    with ExitStack() as open_until_the_end:

        def connect(name: str) -> psycopg.Connection[Any]:
            connection = psycopg.connect(postgres_server.url(name), autocommit=True)
            return open_until_the_end.enter_context(connection)

        for size in (SMALL, LARGE):
            unknown, known = f"plans_{size}", f"plans_{size}_analyzed"
            build(postgres_server.create_database(unknown, migrated_template), size)
            open_until_the_end.callback(postgres_server.drop_database, unknown)
            postgres_server.create_database(known, unknown)
            open_until_the_end.callback(postgres_server.drop_database, known)
            connect(known).execute("ANALYZE")
            sessions["no statistics", size] = Explained(connect(unknown))
            sessions["statistics", size] = Explained(connect(known))
            sessions["generic plans", size] = Explained(connect(known), generic_plans=True)
        yield Scenes(sessions, connect(known))


@pytest.mark.parametrize(
    ("case", "circumstance"),
    [pytest.param(case, known, id=f"{case}, {known}") for case in HOT for known in case.circumstances],
)
def test_what_is_read_does_not_grow(scenes: Scenes, case: Case, circumstance: str) -> None:
    small, large = (scenes.read(case, size, circumstance) for size in (SMALL, LARGE))
    assert small.returned == large.returned == case.returned
    assert small.rows > 0
    assert large.rows <= small.rows + SLACK, f"{small.by_scan}\n{large.by_scan}"


@pytest.mark.parametrize(
    ("case", "circumstance"),
    [
        pytest.param(case, known, id=f"{case}, {known}")
        for case in ONCE_A_STAGE
        for known in case.circumstances
    ],
)
def test_what_reads_a_whole_stage_reads_it_only_a_few_times(
    scenes: Scenes, case: Case, circumstance: str
) -> None:
    for size in (SMALL, LARGE):
        reading = scenes.read(case, size, circumstance)
        assert reading.returned == 1
        assert size / 2 < reading.rows <= 4 * size + SLACK, reading.by_scan


@pytest.mark.parametrize(
    ("case", "index"),
    [pytest.param(case, index, id=f"{index} for {case}") for case in HOT for index in case.needs],
)
def test_without_its_index_it_reads_more(scenes: Scenes, case: Case, index: str) -> None:
    small, large = (scenes.read(case, size, without=index) for size in (SMALL, LARGE))
    assert small.returned == large.returned == case.returned
    # The test above fails then.
    assert large.rows > small.rows + SLACK, large.by_scan


def test_every_index_is_needed(scenes: Scenes) -> None:
    rows = scenes.admin.execute(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
        " WHERE relnamespace = 'app'::regnamespace AND NOT EXISTS ("
        "     SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))"
    ).fetchall()
    indexes = {name.removeprefix("app.") for (name,) in rows}
    assert indexes == {index for case in HOT for index in case.needs}
