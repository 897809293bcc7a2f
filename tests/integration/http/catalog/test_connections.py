"""The STAC API has few connections, holds them briefly, and keeps nobody else from working."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from interfaces.settings import Settings
from repositories.catalog_api import CatalogApi
from tests.catalog_content import collection, fill, item, scenes
from tests.fix_catalog import Catalog, catalog_of
from tests.fix_pgbouncer import pgbouncer
from tests.fix_stack import CHECKOUT

MakeCatalog = Callable[..., Catalog]


def sessions(database_url: str) -> int:
    """How many the app has in this database."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
            " application_name = 'geospatial-orchestrator'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def ask_at_once(catalog: Catalog, path: str, times: int) -> list[int]:
    """The statuses of so many requests at once, on one event loop as in the worker."""

    async def ask() -> list[int]:
        asked = [catalog.client.call("GET", f"/api/stac{path}") for _ in range(times)]
        return [answer.status for answer in await asyncio.gather(*asked)]

    return asyncio.run(ask())


def test_many_requests_share_few_connections_and_none_stays_after_the_end(catalog_database_url: str) -> None:
    settings = Settings(database_url=SecretStr(catalog_database_url), catalog_connections=2)
    api = CatalogApi(settings)
    catalog = catalog_of(settings, api)
    assert sessions(catalog_database_url) == 0
    assert ask_at_once(catalog, "/search", 20) == [200] * 20
    assert 1 <= sessions(catalog_database_url) <= 2
    api.close()
    assert sessions(catalog_database_url) == 0
    # Closed is not broken: a process that is not at its end after all goes on.
    assert catalog.get("/search").status == 200
    api.close()


def test_a_process_that_is_not_asked_starts_no_thread_and_no_connection(catalog_database_url: str) -> None:
    before = {*threading.enumerate()}
    api = CatalogApi(Settings(database_url=SecretStr(catalog_database_url)))
    # Those of other tests may end meanwhile.
    assert not {*threading.enumerate()} - before
    api.close()
    assert sessions(catalog_database_url) == 0


def test_the_event_loop_goes_on_while_a_search_waits_for_the_database(
    make_catalog: MakeCatalog, catalog_database_url: str
) -> None:
    catalog = make_catalog(catalog_database_url, catalog_search_seconds=2)
    ticks = 0

    async def ask() -> int:
        nonlocal ticks
        answering = asyncio.ensure_future(catalog.client.call("GET", "/api/stac/collections"))
        while not answering.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return answering.result().status

    with psycopg.connect(catalog_database_url) as connection:
        connection.execute("LOCK TABLE pgstac.collections IN ACCESS EXCLUSIVE MODE")
        assert asyncio.run(ask()) == 503
    assert ticks > 20


def test_who_waits_when_the_process_ends_is_let_go(catalog_database_url: str) -> None:
    settings = Settings(database_url=SecretStr(catalog_database_url))
    api = CatalogApi(settings)
    catalog = catalog_of(settings, api)
    assert catalog.get("/collections").status == 200

    async def ask() -> None:
        asked = asyncio.ensure_future(catalog.client.call("GET", "/api/stac/collections"))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await asyncio.to_thread(api.close)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked, 5)

    with psycopg.connect(catalog_database_url) as connection:
        connection.execute("LOCK TABLE pgstac.collections IN ACCESS EXCLUSIVE MODE")
        asyncio.run(ask())


IMPORTS = """
import asyncio, json, sys, threading
seen = {}
class Watch:
    def find_spec(self, name, path=None, target=None):
        seen.setdefault(name.partition(".")[0], threading.current_thread().name)
sys.meta_path.insert(0, Watch())
from interfaces.web_requests import WebRequest
from interfaces.settings import Settings
from repositories.catalog_api import CatalogApi
before = set(seen)
api = CatalogApi(Settings())
request = WebRequest("GET", "http", "here", "/api/stac", "/collections", "", (), b"")
answer = asyncio.run(api.answer(request))
later = {name: seen[name] for name in seen if name not in before}
print(json.dumps({"status": answer.status, "later": later}))
"""


def test_the_application_is_loaded_by_the_first_request_off_the_event_loop(catalog_database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": catalog_database_url, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # It ends without being told to close anything: neither a thread keeps it, nor does anything complain.
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 200
    assert {found["later"][name] for name in ("fastapi", "stac_fastapi", "asyncpg", "orjson")} == {"catalog"}


@pytest.fixture
def modest(catalog_database_url: str) -> Any:
    """The catalog's URL for a role that may load and search, and no more."""
    name = f"api_{os.getpid()}"
    with psycopg.connect(catalog_database_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'api' IN ROLE pgstac_ingest, pgstac_read")
        yield make_conninfo(catalog_database_url, user=name, password="api")
        admin.execute(f"DROP OWNED BY {name} CASCADE")
        admin.execute(f"DROP ROLE {name}")


def test_it_works_through_pgbouncer_for_a_role_that_may_load_and_read(
    make_catalog: MakeCatalog, modest: str, server_folder: Path
) -> None:
    with pgbouncer(modest, server_folder) as url:
        catalog = make_catalog(url)
        assert catalog.post("/collections", collection()).status == 201
        [first, second] = scenes(2)
        for scene in (first, second):
            answer = catalog.post("/collections/scenes/items", item(scene))
            assert answer.status == 201, answer.text()
        # Each may find another of PgBouncer's connections, none of which knows the settings of the others.
        assert ask_at_once(catalog, "/search?limit=1", 20) == [200] * 20
        assert catalog.found() == [second.id, first.id]
        place = f"/collections/scenes/items/{first.id}"
        assert catalog.call("PATCH", place, {"properties": {"a": 1}}).status == 200
        assert catalog.call("DELETE", place).status == 200
        assert catalog.found() == [second.id]
        assert catalog.call("DELETE", "/collections/scenes").status == 200


def test_a_connection_that_the_server_ended_is_replaced(
    make_catalog: MakeCatalog, catalog_database_url: str
) -> None:
    fill(catalog_database_url, 3)
    catalog = make_catalog(catalog_database_url)
    assert len(catalog.found()) == 3
    with psycopg.connect(catalog_database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
    assert len(catalog.found()) == 3
