"""Searches of the STAC API beside the same pgstac.search by SQL, and what the framework takes by itself."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
from pydantic import SecretStr

from interfaces.settings import Settings
from interfaces.web_requests import WebRequest
from repositories.database import Database
from repositories.pgstac_schema import PgstacSchema
from repositories.sql_files import queries

from .environments import HERE
from .our_side import OurSide

PAGE = 2_000
FIRST = datetime(2015, 1, 1, tzinfo=UTC)
DAYS = 60
DEGREES = 20
MILLISECONDS = "30000"
WARM_UP = 20
COLLECTION = {
    "type": "Collection",
    "id": "bench",
    "stac_version": "1.1.0",
    "description": "Squares",
    "license": "other",
    "links": [],
    "extent": {
        "spatial": {"bbox": [[-180, -90, 180, 90]]},
        "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
    },
}


@dataclass(frozen=True)
class Times:
    """Milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Searches:
    """The same searches, a box and an interval each; the four ways take turns."""

    items: int
    searches: int
    found: float
    """Items on the page of an answer, on average."""
    sql: Times
    """`pgstac.search` on one connection, in a transaction with the settings that the API gives it."""
    application: Times
    """The API's application, in this process, with the page at hand."""
    host: Times
    """`GET /api/livez`: HTTP and the host."""
    api: Times
    """`POST /api/stac/search`."""


def measure_searches(ours: OurSide, items: int, searches: int) -> Searches:
    """Fill the app's catalog and search it. The app must run; one worker, so that it is warm."""
    url = ours.database_url
    _fill(url, items)
    chance = random.Random(items)
    wanted = [_search(chance, items) for _ in range(WARM_UP + searches)]
    taken: dict[str, list[float]] = {"sql": [], "application": [], "host": [], "api": []}
    pages: list[int] = []
    application = _Application(url)
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        for search in wanted:
            began = time.perf_counter()
            page = _by_sql(connection, search)
            taken["sql"].append(time.perf_counter() - began)
            taken["application"].append(application.seconds(search, page))
            taken["host"].append(_over_http(ours, "GET", "/api/livez", None)[0])
            seconds, answer = _over_http(ours, "POST", "/api/stac/search", search)
            taken["api"].append(seconds)
            if [one["id"] for one in answer["features"]] != [one["id"] for one in page["features"]]:
                raise RuntimeError(f"SQL and the API answer {search} differently")
            pages.append(len(page["features"]))
    times = {way: _times(seconds[WARM_UP:]) for way, seconds in taken.items()}
    return Searches(items, searches, round(statistics.mean(pages), 1), **times)


def _fill(url: str, items: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    database = Database(Settings(database_url=SecretStr(url)))
    PgstacSchema(database).migrate()
    database.close()
    statement = (HERE / "searched_items.sql").read_bytes()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = pgstac, public")
        connection.execute("SELECT create_collection(%s::jsonb)", [json.dumps(COLLECTION)])
        for first in range(0, items, PAGE):
            connection.execute(statement, {"first": first, "last": min(items, first + PAGE) - 1})
        connection.execute("ANALYZE")


def _search(chance: random.Random, items: int) -> dict[str, Any]:
    west, south = chance.uniform(-180, 180 - DEGREES), chance.uniform(-80, 80 - DEGREES)
    start = FIRST + chance.random() * timedelta(hours=items)
    interval = [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in (start, start + timedelta(days=DAYS))]
    return {
        "bbox": [west, south, west + DEGREES, south + DEGREES],
        "datetime": "/".join(interval),
        "limit": 10,
    }


def _by_sql(connection: psycopg.Connection[Any], search: dict[str, Any]) -> dict[str, Any]:
    """As the API asks: pgstac hydrates the items, and the answer is parsed."""
    with connection.pipeline(), connection.transaction():
        connection.execute(queries("catalog")["reading"], {"milliseconds": MILLISECONDS})
        asked = connection.execute("SELECT search(%s::jsonb)::text", [json.dumps(search)])
        row = asked.fetchone()
    assert row is not None
    page: dict[str, Any] = orjson.loads(row[0])
    return page


def _over_http(ours: OurSide, method: str, path: str, body: object) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    status, answer = ours.ask(method, path, body)
    seconds = time.perf_counter() - began
    if status != 200:
        raise RuntimeError(f"{path} answered {status}: {answer}")
    return seconds, answer


class _Application:
    """The API's application with a database that has the page ready."""

    def __init__(self, url: str) -> None:
        from repositories.catalog_api.application import build

        settings = Settings(database_url=SecretStr(url))
        self._app = build(settings, Database(settings))
        self._app.state.get_connection = self._connection
        self._page: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()

    def seconds(self, search: dict[str, Any], page: dict[str, Any]) -> float:
        """How long it takes to answer the search with this page."""
        from repositories.asgi.calling import call

        # A copy: the application writes its links into it.
        self._page = orjson.loads(orjson.dumps(page))
        headers = (("content-type", "application/json"),)
        body = json.dumps(search).encode()
        request = WebRequest("POST", "http", "here", "/api/stac", "/search", "", headers, body)
        began = time.perf_counter()
        answer = self._loop.run_until_complete(call(self._app, request))
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise RuntimeError(f"the application answered {answer.status}")
        return seconds

    @asynccontextmanager
    async def _connection(self, *_: object) -> AsyncIterator[_Application]:
        yield self

    async def fetchval(self, *_: object) -> Any:
        """The page. Its parsing is in the time of the SQL."""
        return self._page


def _times(seconds: Sequence[float]) -> Times:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return Times(round(1000 * cuts[49], 2), round(1000 * cuts[94], 2))
