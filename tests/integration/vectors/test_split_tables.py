"""Tables of a layer that is split by kind of geometry: published together, and nobody is kept waiting."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from interfaces.layers import ChunkCounts, KindTable
from repositories.connection import Connection

from .yard import POINT, Killed, Yard, batch

LINE = shapely.to_wkb(shapely.set_srid(shapely.LineString([(0, 0), (1, 1)]), 4326), include_srid=True)
KINDS = [
    KindTable(kind="point", table="t_point", geometry_type="Point"),
    KindTable(kind="line", table="t_line", geometry_type="LineString"),
    KindTable(kind="none", table="t_none", geometry_type="Geometry"),
]


def load_kinds(yard: Yard, staging: str, rows: list[tuple[bytes | None, int]]) -> dict[int, ChunkCounts]:
    with yard.tables.loading(staging, yard.attempt(), 0) as writer:
        writer.write(batch(rows))
    return {0: ChunkCounts(read=len(rows), loaded=len(rows))}


def test_tables_of_all_kinds_are_published_together_or_none_is(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = yard.stage(features=2, kinds=KINDS)
    done = yard.tables.publish(first, yard.attempt(stage=5), load_kinds(yard, first, [(POINT, 1), (LINE, 2)]))
    # Of what has no geometry there is a table only where there is something.
    assert [(one.target_table, one.loaded) for one in done] == [("t_line", 1), ("t_point", 1)]
    staging = yard.stage("replace", features=4, kinds=KINDS)
    counts = load_kinds(yard, staging, [(POINT, 3), (LINE, 4), (POINT, 5), (None, 6)])
    execute = Connection.execute
    for place in (20, 40, 60):
        left = place

        def dying(connection: Connection, *arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return execute(connection, *arguments, **options)

        owner = yard.attempt(10 + place, stage=5)
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "execute", dying)
            with pytest.raises(Killed):
                yard.tables.publish(staging, owner, counts)
        assert (yard.values("features.t_point"), yard.values("features.t_line")) == ([1], [2])
        assert yard.staged() == [staging]
    owner = yard.attempt(90, stage=5)
    done = yard.tables.publish(staging, owner, counts)
    assert [(one.target_table, one.loaded, one.geometry_type) for one in done] == [
        ("t_line", 1, "LineString"),
        ("t_none", 1, "Geometry"),
        ("t_point", 2, "Point"),
    ]
    assert yard.values("features.t_point") == [3, 5]
    assert [row["fid"] for row in yard.admin.execute("SELECT fid FROM features.t_point")] == [1, 2]
    assert yard.staged() == []
    assert yard.tables.publish(staging, yard.attempt(91, stage=5), counts) == done


def test_neither_readers_nor_other_loads_wait_while_indexes_are_built(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[bytes | None, int]] = [(POINT, 1), (LINE, 2), (None, 3)]
    first = yard.stage(features=3, kinds=KINDS, subdivide=8)
    yard.tables.publish(first, yard.attempt(stage=5), load_kinds(yard, first, rows))
    # What has no geometry is gone, and its table is emptied with the others.
    staging = yard.stage("replace", features=2, kinds=KINDS[:2], subdivide=8)
    counts = load_kinds(yard, staging, rows[:2])
    execute = Connection.execute
    built: list[str] = []

    def watched(connection: Connection, query: Any, *arguments: Any, **options: Any) -> Any:
        words = query if isinstance(query, str) else query.as_string(connection)
        if words.startswith(
            ("CREATE INDEX", "CREATE UNIQUE", "CREATE MATERIALIZED", "ANALYZE", 'ALTER TABLE "geo')
        ):
            held = yard.admin.execute(
                "SELECT l.locktype, c.relname FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation"
                " WHERE l.pid <> pg_backend_pid() AND (l.locktype = 'advisory' OR"
                " l.mode = 'AccessExclusiveLock' AND c.relnamespace = 'features'::regnamespace)"
            ).fetchall()
            if "t_none" not in words and "_none" not in words and "SET SCHEMA" not in words:
                assert not held, words
            built.append(words)
        return execute(connection, query, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", watched)
        done = yard.tables.publish(staging, yard.attempt(2, stage=5), counts)
    assert sum(one.startswith("CREATE") for one in built) == 3 * 2 + 3
    assert [(one.target_table, one.rows) for one in done] == [("t_line", 1), ("t_none", 0), ("t_point", 1)]
    names = "SELECT indexname, tablename FROM pg_indexes WHERE schemaname = 'features' ORDER BY 1"
    assert [tuple(row.values()) for row in yard.admin.execute(names)] == [
        ("t_line_geom_idx", "t_line"),
        ("t_line_parts_geom_idx", "t_line_parts"),
        ("t_line_parts_key", "t_line_parts"),
        ("t_line_pkey", "t_line"),
        ("t_none_geom_idx", "t_none"),
        ("t_none_pkey", "t_none"),
        ("t_point_geom_idx", "t_point"),
        ("t_point_pkey", "t_point"),
    ]


@pytest.mark.parametrize("read", ["t_point", "t_line_parts"])
def test_tables_of_a_layer_are_locked_together_or_none_is(yard: Yard, database_url: str, read: str) -> None:
    rows: list[tuple[bytes | None, int]] = [(POINT, 1), (LINE, 2)]
    first = yard.stage(features=2, kinds=KINDS, subdivide=8)
    yard.tables.publish(first, yard.attempt(stage=5), load_kinds(yard, first, rows))
    staging = yard.stage("replace", features=2, kinds=KINDS, subdivide=8)
    counts = load_kinds(yard, staging, rows)
    waiting = f"SELECT 1 FROM pg_locks WHERE relation = 'features.{read}'::regclass AND NOT granted"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as reader:
        reader.execute(f"SELECT count(*) FROM features.{read}")
        published = pool.submit(yard.tables.publish, staging, yard.attempt(2, stage=5), counts)
        while not yard.admin.execute(waiting).fetchall():
            assert not published.done()
            time.sleep(0.01)
        # The load has this table already, and lets it go for the sake of the other one's reader.
        yard.admin.execute("SET statement_timeout = '4s'")
        assert yard.values("features.t_line") == [2]
        reader.rollback()
        published.result()


def test_nothing_is_published_where_a_row_is_of_a_kind_that_has_no_table(yard: Yard) -> None:
    staging = yard.stage(features=2, kinds=KINDS[:1])
    counts = load_kinds(yard, staging, [(POINT, 1), (LINE, 2)])
    with pytest.raises(PermanentTaskError, match="of 2 features, 1 are of kinds that have tables"):
        yard.tables.publish(staging, yard.attempt(stage=5), counts)
    assert yard.staged() == [staging]


def test_whoever_reads_the_pieces_of_a_table_that_is_added_to_reads_on(yard: Yard, database_url: str) -> None:
    first = yard.stage(features=1, kinds=KINDS[1:2], subdivide=8)
    yard.tables.publish(first, yard.attempt(stage=5), load_kinds(yard, first, [(LINE, 1)]))
    staging = yard.stage("append", features=1, kinds=KINDS[1:2])
    counts = load_kinds(yard, staging, [(LINE, 2)])
    with psycopg.connect(database_url) as reader:
        assert reader.execute("SELECT count(*) FROM features.t_line_parts").fetchone() == (1,)
        [done] = yard.tables.publish(staging, yard.attempt(2, stage=5), counts)
        assert reader.execute("SELECT count(*) FROM features.t_line_parts").fetchone() == (2,)
    assert (done.rows, done.parts and done.parts.rows) == (2, 2)


def test_two_first_additions_at_once_become_one_table(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [KindTable(kind="line", table="t_line", geometry_type="LineString")]
    stagings = [yard.stage("append", features=1, kinds=kinds, subdivide=8) for _ in range(2)]
    counts = [load_kinds(yard, staging, [(LINE, number)]) for number, staging in enumerate(stagings)]
    execute = Connection.execute
    others: list[Any] = [yard.attempt(3, stage=5)]

    def overtaken(connection: Connection, query: Any, *arguments: Any, **options: Any) -> Any:
        """Whoever is to take the lock first comes second, when all that it can prepare is there."""
        if others and "pg_advisory_xact_lock" in str(query):
            yard.tables.publish(stagings[1], others.pop(), counts[1])
        return execute(connection, query, *arguments, **options)

    owner = yard.attempt(2, stage=5, task=1)
    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", overtaken)
        [done] = yard.tables.publish(stagings[0], owner, counts[0])
    assert (yard.values("features.t_line"), yard.staged(), done.rows) == ([0, 1], [], 2)
    assert [row["row_count"] for row in yard.admin.execute("SELECT row_count FROM geo.layers")] == [2]
    assert yard.count("features.t_line_parts") == 2
    assert yard.admin.execute("SELECT 1 FROM pg_matviews WHERE schemaname <> 'features'").fetchall() == []
