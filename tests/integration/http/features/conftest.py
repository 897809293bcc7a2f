"""The features API in the test's own process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from local.stack.postgres import PostgresServer
from repositories.features_api import FeaturesApi
from tests.fix_features import Features, features_of, publish

MakeFeatures = Callable[..., Features]
PLACES = """fid bigint, name text, amount numeric, "größe" integer, "select" text, note jsonb,
seen timestamptz, day date, tags text[], raw bytea, took interval"""
"""Columns of all kinds, with names that must be quoted."""
ROWS: list[tuple[object, ...]] = [
    (
        *(1, "O'Brien\\", 1.5, 3, "a", '{"a": [1]}', "2024-01-01T00:00:00Z", "2024-01-01"),
        *(["a", "b"], b"ab", "1 day", "POINT(10 20)"),
    ),
    (2, "Zürich", "NaN", None, "b", None, "infinity", None, [], None, None, None),
    (
        *(3, "fiji", None, 5, None, "[1]", "12000-01-01T00:00:00Z", "0044-03-15 BC"),
        *(None, b"", None, "POLYGON((170 0, 180 0, 180 10, 170 0))"),
    ),
    (
        *(4, "both", 4, 4, "d", None, "2024-06-01T12:30:00.5Z", "2024-06-01", ["c"], None, None),
        "GEOMETRYCOLLECTION(POINT(-20 -20), LINESTRING(-20 -20, -30 -30))",
    ),
]
UTM = 32633


def fill(database_url: str) -> None:
    """The layers that tests read."""
    publish(database_url, "places", PLACES, ROWS)
    rows = [(number, "ab"[number % 2], f"POINT({number / 10} {number / 20})") for number in range(1, 251)]
    publish(database_url, "many", "fid integer, kind text", rows, geometry_type="Point")
    utm = [(1, "POINT(500000 5000000)"), (2, "POINT(600000 200000)"), (3, None)]
    publish(database_url, "utm", "fid integer", utm, srid=UTM)
    codes = [("a/b", 1, "x", "POINT(1 1)"), ("a/b", 2, "y", "POINT(2 2)"), ('",', 1, "z", "POINT(3 3)")]
    publish(database_url, "codes", "code text, part integer, label text", codes, key=["code", "part"])
    named = [("a/b ü?#%", "POINT(1 1)"), ("..", "POINT(2 2)")]
    publish(database_url, "straße", '"key" text', named, key=["key"])
    publish(database_url, "empty", "fid bigint, name text", [])
    publish(database_url, "large", "fid bigint", [(2**53 + 1, "POINT(1 1)"), (2**53, "POINT(2 2)")])


@pytest.fixture
def make_features() -> Iterator[MakeFeatures]:
    """Makes features APIs on a database, with other settings; their connections are closed after the test."""
    apis: list[FeaturesApi] = []

    def make(database_url: str, **overrides: Any) -> Features:
        options: dict[str, Any] = {"database_url": SecretStr(database_url), "database_timeout_seconds": 5}
        settings = Settings(**(options | overrides))
        apis.append(FeaturesApi(settings))
        return features_of(settings, apis[-1])

    yield make
    for api in apis:
        api.close()


@pytest.fixture(scope="package")
def layers_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A database with layers, which tests only read."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = postgres_server.create_database(name, migrated_template)
    fill(url)
    yield url
    postgres_server.drop_database(name)


@pytest.fixture(scope="package")
def layers(layers_url: str) -> Iterator[Features]:
    """The features API of that database."""
    settings = Settings(database_url=SecretStr(layers_url), database_timeout_seconds=5)
    api = FeaturesApi(settings)
    yield features_of(settings, api)
    api.close()


@pytest.fixture
def features(make_features: MakeFeatures, database_url: str) -> Features:
    """The features API of a database without layers, of the test's own."""
    return make_features(database_url)
