"""The application: tipg's routes over layers as they are now. Importing this loads FastAPI and tipg."""

from __future__ import annotations

from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import tipg.collections
import tipg.dependencies
import tipg.factory
from fastapi import FastAPI
from morecantile import tms
from morecantile.defaults import TileMatrixSets
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from tipg import errors
from tipg.settings import FeaturesSettings, MVTSettings

from interfaces.errors import InvalidRequest, NotFound
from interfaces.settings import Settings
from repositories.asgi.refusals import Ours, raise_ours
from repositories.database import Database

from . import parameters
from .connections import FeatureConnections
from .endpoints import LayerEndpoints
from .layers import Layers
from .values import csv_lines

NO_LIMIT = 2**31 - 1
MATRIX_SET = "WebMercatorQuad"
KINDS: dict[type[Exception], Ours] = {
    errors.NotFound: NotFound,
    errors.NoPrimaryKey: InvalidRequest,
    errors.MissingGeometryColumn: InvalidRequest,
    errors.MissingDatetimeColumn: partial(parameters.wrong, "datetime"),
    errors.InvalidBBox: partial(parameters.wrong, "bbox"),
    # Columns that others name are known before.
    errors.InvalidPropertyName: partial(parameters.wrong, "sortby"),
    errors.InvalidGeometryColumnName: partial(parameters.wrong, "geom-column"),
    errors.InvalidDatetimeColumnName: partial(parameters.wrong, "datetime-column"),
    errors.InvalidDatetime: partial(parameters.wrong, "datetime"),
    errors.InvalidLimit: partial(parameters.wrong, "limit"),
}


def build(settings: Settings, database: Database) -> ASGIApp:
    """The application; errors leave it as exceptions of ours. It opens no connection by itself."""
    _set_limits(settings)
    app = FastAPI(title=settings.features_title, openapi_url="/api", docs_url=None, redoc_url=None)
    connections = FeatureConnections(settings, database)
    app.state.pool = connections
    layers = Layers(settings, connections)
    endpoints = LayerEndpoints(
        title=settings.features_title,
        # Depended on, not called: FastAPI awaits them.
        collection_dependency=cast(Any, layers.one),
        collections_dependency=cast(Any, layers.page),
        supported_tms=TileMatrixSets({MATRIX_SET: tms.get(MATRIX_SET)}),
        with_tiles_viewer=False,
    )
    app.include_router(endpoints.router)
    app.dependency_overrides |= {
        tipg.dependencies.OutputType: parameters.document_format,
        tipg.dependencies.QueryablesOutputType: parameters.queryables_format,
        tipg.dependencies.ItemsOutputType: parameters.items_format,
        tipg.dependencies.bbox_query: parameters.bbox,
        tipg.dependencies.datetime_query: parameters.times,
        tipg.dependencies.filter_query: parameters.cql,
        tipg.dependencies.TileParams: parameters.tile,
    }
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET"], allow_headers=["x-functions-key"]
    )
    raise_ours(app, KINDS, "the features API")
    return _Limited(app, settings.max_page_size)


def _set_limits(settings: Settings) -> None:
    """The library takes these from the environment alone, or has them fixed."""
    features = FeaturesSettings(
        _env_file=None,
        default_features_limit=min(settings.default_page_size, settings.max_page_size),
        max_features_per_query=settings.max_page_size,
    )
    # Routes that are made from here on have these limits; tiles have those of their layers.
    tipg.factory.features_settings = features
    tipg.collections.features_settings = FeaturesSettings(_env_file=None, max_features_per_query=NO_LIMIT)
    tipg.collections.mvt_settings = tipg.factory.mvt_settings = MVTSettings(
        _env_file=None, max_features_per_tile=NO_LIMIT
    )
    tipg.factory.create_csv_rows = csv_lines


class _Limited:
    """A larger `limit` of features is answered with the largest page, as OGC 17-069r4 has it (7.15.3)."""

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/items") and b"limit=" in scope["query_string"]:
            pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
            kept = [(name, self._limited(name, value)) for name, value in pairs]
            scope = {**scope, "query_string": urlencode(kept).encode()}
        await self._app(scope, receive, send)

    def _limited(self, name: str, value: str) -> str:
        many = name == "limit" and value.isdecimal() and (len(value) > 18 or int(value) > self._largest)
        return str(self._largest) if many else value
