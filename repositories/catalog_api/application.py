"""The application: stac-fastapi-pgstac with its extensions. Importing this loads FastAPI."""

from __future__ import annotations

from fastapi import FastAPI
from stac_fastapi.pgstac.app import instantiate_api
from stac_fastapi.pgstac.config import Settings as ApiSettings

from interfaces.settings import Settings
from repositories.asgi.refusals import raise_ours
from repositories.database import Database

from .client import CatalogClient
from .connections import CatalogConnections
from .refusals import KINDS
from .transactions import CatalogExtensions

STAC_VERSION = "1.1.0"


def build(settings: Settings, database: Database) -> FastAPI:
    """The application; errors leave it as exceptions of ours. It opens no connection by itself."""
    wanted = ApiSettings(
        _env_file=None,
        stac_fastapi_title=settings.catalog_title,
        stac_fastapi_description=settings.catalog_description,
        stac_fastapi_landing_id=settings.catalog_id,
        stac_fastapi_version="1.0.0",
        enable_transactions_extensions=True,
        cors_headers=["Content-Type", "x-functions-key"],
        root_path="",
        prefix_path="",
    )
    api = instantiate_api(CatalogClient, extensions=CatalogExtensions(settings=wanted), settings=wanted)
    # The library takes these from the environment alone, or has them fixed.
    api.client.landing_page_id = settings.catalog_id
    api.client.stac_version = STAC_VERSION
    api.client.largest_page = settings.max_page_size
    app: FastAPI = api.app
    # What its lifespan would do: make pools of asyncpg. Ours are made at the first statement.
    app.state.get_connection = CatalogConnections(settings, database).get
    raise_ours(app, KINDS, "the catalog")
    return app
