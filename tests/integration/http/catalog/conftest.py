"""The STAC API in the test's own process, on a database with pgstac."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from repositories.catalog_api import CatalogApi
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
