"""The features API as its clients have it, without a host, over tables as loads leave them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import psycopg
from psycopg import sql

from interfaces.settings import Settings
from tests.unit.triggers.http_client import Answer, Client
from triggers.http import features
from triggers.http.dependencies import WebApi
from triggers.http.routing import register
from triggers.threads import Threads

ROOT = "/api/features"


class Features:
    """Calls below /api/features."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self.settings = settings

    def get(self, path: str = "", headers: dict[str, str] | None = None, /, **query: object) -> Answer:
        """GET. Names of parameters have a hyphen where Python has an underscore."""
        asked = urlencode({name.replace("_", "-"): value for name, value in query.items()})
        return self.client.request("GET", f"{ROOT}{path}{'?' * bool(asked)}{asked}", headers=headers)

    def items(self, layer: str, /, **query: object) -> Any:
        """A page of features."""
        answer = self.get(f"/collections/{layer}/items", None, **query)
        assert answer.status == 200, answer.text()
        return answer.json()

    def ids(self, layer: str, /, **query: object) -> list[Any]:
        """The ids of the features of a page."""
        return [feature["id"] for feature in self.items(layer, **query)["features"]]


def features_of(settings: Settings, api: WebApi) -> Features:
    """The endpoints over an API."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    needed: Any = SimpleNamespace(settings=settings, features_api=api)
    for endpoint in features.endpoints(needed):
        register(blueprint, endpoint, settings, Threads("http", 2))
    return Features(Client(blueprint), settings)


def publish(
    database_url: str,
    name: str,
    columns: str,
    rows: Sequence[Sequence[object]],
    *,
    key: Sequence[str] = ("fid",),
    srid: int = 4326,
    geometry_type: str = "Geometry",
    schema: str = "features",
) -> None:
    """Make a table and register it, as a load does; replaces one of that name.

    `columns` are SQL; a column `geom` is made besides, which is the last value of each row, as WKT or None.
    """
    table = sql.Identifier(schema, name)
    with psycopg.connect(database_url) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        made = f"CREATE TABLE {{}} ({columns}, geom geometry({geometry_type}, {srid}), PRIMARY KEY ({{}}))"
        names = sql.SQL(", ").join(map(sql.Identifier, key))
        connection.execute(sql.SQL(made).format(table, names))
        for row in rows:
            values = ["%s"] * (len(row) - 1) + [f"ST_GeomFromText(%s, {srid})"]
            insert = f"INSERT INTO {{}} VALUES ({', '.join(values)})"
            connection.execute(sql.SQL(insert).format(table), row)
        extent = connection.execute(
            sql.SQL(
                "SELECT ARRAY[ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e)]::double precision[]"
                " FROM (SELECT ST_Extent(geom) AS e FROM {}) AS t WHERE e IS NOT NULL"
            ).format(table)
        ).fetchone()
        connection.execute(
            "INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column,"
            " geometry_type, key, columns, row_count, extent, job_id, run)"
            " VALUES (%s, %s, %s, %s, 'geom', %s, %s, '[]', %s, %s, 'a', 1)"
            " ON CONFLICT (target_schema, target_table) DO UPDATE SET srid = EXCLUDED.srid,"
            " key = EXCLUDED.key, geometry_type = EXCLUDED.geometry_type, extent = EXCLUDED.extent",
            (
                schema,
                name,
                name.title(),
                srid,
                geometry_type,
                json.dumps(list(key)),
                len(rows),
                extent and extent[0],
            ),
        )
