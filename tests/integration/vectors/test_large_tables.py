"""Large tables, whose keys are made by a session of their own, and which autovacuum leaves alone."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from pydantic import SecretStr

from interfaces.errors import LeaseLost
from interfaces.settings import Settings
from repositories import table_publishing, table_targets
from repositories.database import Database
from repositories.feature_tables import PostgresFeatureTables

from .yard import Killed, Yard


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are large, however few rows they have: their keys are made by sessions of their own."""
    monkeypatch.setattr(table_publishing, "MANY_FEATURES", 0)


def keys(yard: Yard, staging: str) -> list[str]:
    found = yard.admin.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [staging]).fetchall()
    return [row["indexdef"].partition(" USING ")[2] for row in found]


def test_the_key_of_a_large_table_is_made_beside_its_index_and_kept_for_the_next_attempt(yard: Yard) -> None:
    staging = yard.stage(features=3)
    counts = yard.load(staging, yard.attempt(), [1, 2])
    lost = yard.attempt(1, stage=5)
    yard.attempt(2, stage=5)
    with pytest.raises(LeaseLost):
        yard.tables.publish(staging, lost, counts)
    assert keys(yard, staging) == ["btree (fid)"]
    yard.tables.publish(staging, yard.attempt(3, stage=5), counts)
    assert yard.values("features.t") == [1, 2]
    assert sorted(keys(yard, "t")) == ["btree (fid)", "gist (geom)"]
    named = "SELECT conname FROM pg_constraint WHERE conrelid = 'features.t'::regclass AND contype = 'p'"
    assert yard.admin.execute(named).fetchall() == [{"conname": "t_pkey"}]


def test_with_no_connection_to_spare_or_few_rows_one_does_it_all(
    database_url: str, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of its connections may be held for long, and the publication holds it.
    yard.tables = PostgresFeatureTables(
        Database(Settings(database_url=SecretStr(database_url)), connections=2)
    )
    for number, few in enumerate((0, 100)):
        monkeypatch.setattr(table_publishing, "MANY_FEATURES", few)
        staging = yard.stage("replace", features=3)
        counts = yard.load(staging, yard.attempt(2 * number + 1), [1, 2])
        lost = yard.attempt(2 * number + 1, stage=5)
        yard.attempt(2 * number + 2, stage=5)
        with pytest.raises(LeaseLost):
            yard.tables.publish(staging, lost, counts)
        assert keys(yard, staging) == []
        [done] = yard.tables.publish(staging, yard.attempt(2 * number + 3, stage=5), counts)
        assert (done.rows, done.extent) == (2, [1, 2, 1, 2])
        assert sorted(keys(yard, "t")) == ["btree (fid)", "gist (geom)"]


def test_autovacuum_comes_to_published_tables_only(yard: Yard) -> None:
    options = "SELECT reloptions FROM pg_class WHERE oid = %s::regclass"
    staging = yard.stage(features=2)
    [before] = yard.admin.execute(options, [f"geo_staging.{staging}"]).fetchall()
    assert before == {"reloptions": ["autovacuum_enabled=false"]}
    yard.tables.publish(staging, yard.attempt(stage=5), yard.load(staging, yard.attempt(), [1]))
    assert yard.admin.execute(options, ["features.t"]).fetchall() == [{"reloptions": None}]


def test_what_fails_beside_the_index_fails_the_attempt(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = yard.stage(features=3)
    counts = yard.load(staging, yard.attempt(), [1, 2])
    monkeypatch.setattr(table_targets, "measure", Mock(side_effect=Killed))
    with pytest.raises(Killed):
        yard.tables.publish(staging, yard.attempt(stage=5), counts)
    assert keys(yard, staging) == []
    assert yard.locks() == 0
