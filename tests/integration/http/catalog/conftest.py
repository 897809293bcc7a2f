"""The STAC API in the test's own process, on a database with pgstac."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from local.stack.postgres import PostgresServer
from repositories.catalog_api import CatalogApi
from tests.catalog_content import fill
from tests.fix_catalog import Catalog, catalog_of


@pytest.fixture
def make_catalog() -> Iterator[Callable[..., Catalog]]:
    """Makes STAC APIs on a database, with other settings; their connections are closed after the test."""
    apis: list[CatalogApi] = []

    def make(database_url: str, **overrides: Any) -> Catalog:
        options: dict[str, Any] = {"database_url": SecretStr(database_url), "database_timeout_seconds": 5}
        settings = Settings(**(options | overrides))
        apis.append(CatalogApi(settings))
        return catalog_of(settings, apis[-1])

    yield make
    for api in apis:
        api.close()


@pytest.fixture
def catalog(make_catalog: Callable[..., Catalog], catalog_database_url: str) -> Catalog:
    """The STAC API of an empty catalog."""
    return make_catalog(catalog_database_url)


@pytest.fixture(scope="package")
def five_scenes(postgres_server: PostgresServer, catalog_template: str) -> Iterator[Catalog]:
    """The STAC API of a catalog of five scenes, for tests that only read, or are refused."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = postgres_server.create_database(name, catalog_template)
    fill(url, 5)
    settings = Settings(database_url=SecretStr(url), database_timeout_seconds=5)
    api = CatalogApi(settings)
    catalog = catalog_of(settings, api)
    before = everything(catalog)
    yield catalog
    after = everything(catalog)
    api.close()
    postgres_server.drop_database(name)
    assert after == before, "a test that should have been refused, or only read, has changed the catalog"


def everything(catalog: Catalog) -> tuple[Any, Any]:
    """The collections and the items of a small catalog."""
    collections, found = catalog.get("/collections").json(), catalog.get("/search?limit=100").json()
    return collections["collections"], found["features"]
