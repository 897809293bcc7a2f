"""Layers are served as they are when the request comes, by few connections that only read."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from interfaces.errors import InvalidRequest
from interfaces.settings import Settings
from repositories.database import Database
from repositories.features_api import FeaturesApi
from tests.fix_features import Features, features_of, publish
from tests.fix_pgbouncer import pgbouncer
from tests.fix_stack import CHECKOUT

from .conftest import MakeFeatures

POINT = "POINT(1 1)"


def execute(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_layer_is_there_as_soon_as_it_is_published_and_gone_when_it_is_dropped(
    features: Features, database_url: str
) -> None:
    assert features.get("/collections").json()["collections"] == []
    publish(database_url, "new", "fid integer, name text", [(1, "a", POINT)])
    assert features.ids("features.new", name="a") == [1]
    publish(database_url, "new", "fid integer, town text", [(1, "b", POINT), (2, "c", None)], srid=3857)
    assert [one["properties"] for one in features.items("features.new")["features"]] == [
        {"fid": 1, "town": "b"},
        {"fid": 2, "town": "c"},
    ]
    assert features.get("/collections/features.new/items", name="a").status == 400
    assert "town" in features.get("/collections/features.new/queryables").text()
    execute(database_url, "DROP TABLE features.new")
    assert features.get("/collections/features.new/items").status == 404
    assert features.get("/collections/features.new/tiles/WebMercatorQuad/0/0/0").status == 404
    assert features.get("/collections").json()["collections"] == []


def test_a_table_that_was_not_loaded_is_not_served(features: Features, database_url: str) -> None:
    publish(database_url, "ours", "fid integer", [(1, POINT)])
    execute(database_url, "CREATE TABLE features.others AS SELECT * FROM features.ours")
    assert features.get("/collections/features.others/items").status == 404
    assert [one["id"] for one in features.get("/collections").json()["collections"]] == ["features.ours"]


def test_a_layer_of_another_schema_and_one_without_geometry_are_served(
    features: Features, database_url: str
) -> None:
    publish(database_url, "Odd.Name", "fid integer, name text", [(1, "a", POINT)], schema="other")
    assert features.ids("other.Odd.Name") == [1]
    execute(database_url, 'ALTER TABLE other."Odd.Name" DROP COLUMN geom')
    [feature] = features.items("other.Odd.Name", bbox="0,0,2,2")["features"]
    assert (feature["geometry"], feature["properties"]) == (None, {"fid": 1, "name": "a"})
    assert features.get("/collections/other.Odd.Name/tiles/WebMercatorQuad/0/0/0").status == 400
    assert features.get("/collections/other.Odd.Name/tiles/WebMercatorQuad/tilejson.json").status == 400


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO features.mine VALUES (2)",
        "DROP TABLE features.mine",
        "CREATE TEMPORARY TABLE t (a int)",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SELECT nextval('features.numbers')",
        "SELECT 1; DROP TABLE features.mine",
    ],
)
def test_no_statement_can_write(database_url: str, statement: str) -> None:
    from repositories.features_api.connections import FeatureConnections

    publish(database_url, "mine", "fid integer", [(1, POINT)])
    execute(database_url, "CREATE SEQUENCE features.numbers")
    settings = Settings(database_url=SecretStr(database_url))
    database = Database(settings, connections=1)
    connections = FeatureConnections(settings, database)
    with pytest.raises((psycopg.Error, InvalidRequest), match=r"read-only|read-write|multiple commands"):
        asyncio.run(connections.fetch(statement))
    assert asyncio.run(connections.fetchval("SELECT count(*) FROM features.mine")) == 1
    database.close()


@pytest.mark.parametrize(("srid", "scale"), [(4326, 1.0), (3857, 111_000.0)])
def test_a_box_and_a_filter_find_features_by_the_index(database_url: str, srid: int, scale: float) -> None:
    from repositories.asgi.cql2_filters import read
    from repositories.features_api.connections import FeatureConnections
    from repositories.features_api.layers import Layers

    publish(database_url, "wide", "fid integer", [(0, POINT)], srid=srid)
    execute(
        database_url,
        f"INSERT INTO features.wide SELECT n, ST_SetSRID(ST_Point((n % 300 - 150) * {scale},"
        f" (n % 80) * {scale}), {srid}) FROM generate_series(1, 4000) AS n;"
        " CREATE INDEX wide_geom_idx ON features.wide USING gist (geom); ANALYZE features.wide",
    )
    settings = Settings(database_url=SecretStr(database_url))
    database = Database(settings, connections=1)
    connections = FeatureConnections(settings, database)
    layer = Layers(settings, connections).layer(asyncio.run(connections.layers("features", "wide"))[0])
    for selection in (
        {"bbox": [9, 9, 12, 12]},
        {"cql": read("S_INTERSECTS(geom, BBOX(9, 9, 12, 12))", None)},
    ):
        condition = layer.cql_where(**selection)
        assert condition is not None
        statement = f"EXPLAIN SELECT fid FROM features.wide WHERE {condition.to_sql()}"
        plan = asyncio.run(connections.fetch(statement))
        assert "wide_geom_idx" in str(plan)
    database.close()


@pytest.fixture
def reader(database_url: str) -> Iterator[tuple[str, str]]:
    """A role that may read one schema, and the database's URL for a member without rights of its own."""
    role, login = f"reader_{os.getpid()}", f"login_{os.getpid()}"
    publish(database_url, "open", "fid integer", [(1, POINT)])
    publish(database_url, "closed", "fid integer", [(1, POINT)], schema="other")
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} NOLOGIN")
        admin.execute(f"CREATE ROLE {login} NOINHERIT LOGIN PASSWORD 'api' IN ROLE {role}")
        admin.execute(f"GRANT USAGE ON SCHEMA features TO {role}")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA features TO {role}")
        admin.execute(f"GRANT USAGE ON SCHEMA geo TO {login}")
        admin.execute(f"GRANT SELECT ON geo.layers TO {login}")
        yield role, make_conninfo(database_url, user=login, password="api")
        for one in (role, login):
            admin.execute(f"DROP OWNED BY {one} CASCADE")
            admin.execute(f"DROP ROLE {one}")


def test_features_are_read_as_the_role_that_is_set_through_pgbouncer(
    make_features: MakeFeatures, reader: tuple[str, str], server_folder: Path
) -> None:
    role, url = reader
    with pgbouncer(url, server_folder) as pooled:
        features = make_features(pooled, features_role=role)
        assert [one["id"] for one in features.get("/collections").json()["collections"]] == ["features.open"]

        async def ask() -> list[int]:
            path = "/api/features/collections/features.open/items"
            asked = [features.client.call("GET", path) for _ in range(12)]
            return [answer.status for answer in await asyncio.gather(*asked)]

        assert asyncio.run(ask()) == [200] * 12
        assert features.get("/collections/other.closed/items").status == 404
        # Without the role, the login itself may read nothing.
        bare = make_features(pooled)
        assert bare.get("/collections").json()["collections"] == []
        nobody = make_features(pooled, features_role="nobody")
        assert nobody.get("/collections").status == nobody.get("/collections/features.open").status == 503


def test_many_requests_share_few_connections_and_none_stays_after_the_end(layers_url: str) -> None:
    def sessions() -> int:
        with psycopg.connect(layers_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                " application_name = 'geospatial-orchestrator'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    before, threads = sessions(), {*threading.enumerate()}
    settings = Settings(database_url=SecretStr(layers_url), features_connections=2)
    api = FeaturesApi(settings)
    # Those of other tests may end meanwhile.
    assert sessions() == before
    assert not {*threading.enumerate()} - threads
    features = features_of(settings, api)

    async def ask() -> list[int]:
        path = "/api/features/collections/features.many/items"
        asked = [features.client.call("GET", path) for _ in range(20)]
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [200] * 20
    assert before + 1 <= sessions() <= before + 2
    api.close()
    assert sessions() == before
    # Closed is not broken: a process that is not at its end after all goes on.
    assert features.ids("features.many", limit=1) == [1]
    api.close()


IMPORTS = """
import asyncio, json, sys, threading
seen = {}
class Watch:
    def find_spec(self, name, path=None, target=None):
        seen.setdefault(name.partition(".")[0], threading.current_thread().name)
sys.meta_path.insert(0, Watch())
from interfaces.web_requests import WebRequest
from interfaces.errors import InvalidRequest
from interfaces.settings import Settings
from repositories.features_api import FeaturesApi
before = set(seen)
api = FeaturesApi(Settings())
path = "/collections/features.many/items"
request = WebRequest("GET", "http", "here", "/api/features", path, "", (), b"")
answer = asyncio.run(api.answer(request))
later = {name: seen[name] for name in seen if name not in before}
print(json.dumps({"status": answer.status, "later": later}))
"""


def test_the_application_is_loaded_by_the_first_request_off_the_event_loop(layers_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": layers_url, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # It ends without being told to close anything: neither a thread keeps it, nor does anything complain.
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 200
    libraries = ("tipg", "fastapi", "asyncpg", "cql2", "morecantile", "pyproj")
    assert {found["later"][name] for name in libraries} == {"features"}


def test_a_layer_that_was_replaced_by_one_in_another_crs_is_not_answered_as_if_it_were_in_degrees(
    features: Features, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from repositories.features_api.connections import FeatureConnections

    publish(database_url, "moved", "fid integer", [(1, POINT)])
    look_up = FeatureConnections.layers

    async def then_replaced(self: FeatureConnections, schema: str | None, table: str | None) -> Any:
        found = await look_up(self, schema, table)
        publish(database_url, "moved", "fid integer", [(1, "POINT(100000 1)")], srid=3857)
        return found

    for query in ({}, {"bbox": "0,0,2,2"}):
        publish(database_url, "moved", "fid integer", [(1, POINT)])
        with monkeypatch.context() as patched:
            patched.setattr(FeatureConnections, "layers", then_replaced)
            answer = features.get("/collections/features.moved/items", None, **query)
        assert answer.status == 503
        assert "was replaced while it was read" in answer.text()
    assert features.ids("features.moved", bbox="0,0,2,2") == [1]
