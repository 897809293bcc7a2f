"""Which layers there are: looked up for each request, so that none is missed and none is out of date."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Request
from tipg.collections import CollectionList, Column

from interfaces.errors import NotFound
from interfaces.settings import Settings

from .connections import FeatureConnections
from .layer import Layer
from .parameters import bbox, check, times
from .projections import degrees

TIMES = {"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}
"""As tipg calls them."""
DATED = ("timestamp", "timestamptz", "date")


class Layers:
    """The dependencies by which tipg's routes get collections."""

    def __init__(self, settings: Settings, connections: FeatureConnections) -> None:
        self._settings = settings
        self._connections = connections

    async def one(self, request: Request, collectionId: Annotated[str, Path()]) -> Layer:  # noqa: N803
        """The layer `schema.table`. Raises `NotFound`."""
        schema, _, table = collectionId.partition(".")
        known = bool(schema and table) and "\x00" not in collectionId
        rows = await self._connections.layers(schema, table) if known else []
        if not rows or not rows[0]["columns"]:
            raise NotFound(f"there is no layer {collectionId}")
        layer = self.layer(rows[0])
        check(request, layer.names)
        return layer

    async def page(
        self,
        request: Request,
        box: Annotated[list[float] | None, Depends(bbox)],
        _interval: Annotated[list[str] | None, Depends(times)],
        _kind: Annotated[Literal["Table"] | None, Query(alias="type")] = None,
        limit: Annotated[int | None, Query(ge=1)] = None,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> CollectionList:
        """Layers that meet the box; nothing is known of the times of any."""
        check(request)
        found = [self.layer(row) for row in await self._connections.layers(None, None) if row["columns"]]
        if box is not None:
            found = [layer for layer in found if layer.known_bounds is None or _meet(layer.known_bounds, box)]
        size = min(limit or self._settings.default_page_size, self._settings.max_page_size)
        shown = found[offset : offset + size]
        end = offset + len(shown)
        return CollectionList(
            collections=list(shown),
            matched=len(found),
            next=end if end < len(found) else None,
            prev=max(offset - size, 0) if offset else None,
        )

    def layer(self, row: dict[str, Any]) -> Layer:
        """The layer of a row of what is known."""
        columns = [_column(one) for one in row["columns"]]
        geometries = [column for column in columns if column.is_geometry]
        named = [column for column in geometries if column.name == row["geometry_column"]]
        names = [column.name for column in columns]
        key = [name for name in row["key"] or [] if name in names]
        key = key if len(key) == len(row["key"] or []) else []
        identifier = f"{row['schema']}.{row['table']}"
        return Layer(
            type="Table",
            id=identifier,
            table=row["table"],
            schema=row["schema"],
            title=row["title"],
            description=row["description"],
            table_columns=columns,
            properties=columns,
            id_column=next((column for column in columns if column.name in key[:1]), None),
            geometry_column=next(iter(named or geometries), None),
            datetime_column=next((column for column in columns if column.type in DATED), None),
            key_columns=key,
            most_in_tile=self._settings.features_max_tile_features,
            known_bounds=degrees(row["extent"], row["extent_srid"]),
        )


def _column(found: dict[str, Any]) -> Column:
    told = {name: value for name, value in found.items() if value is not None}
    told["type"] = TIMES.get(found["type"], found["type"].rpartition(".")[2])
    if found["geometry_type"] is not None:
        told["type"] = told["type"].strip('"')
        told["geometry_type"] = _plain(found["geometry_type"])
    return Column.model_validate(told)


def _plain(geometry_type: str) -> str:
    """Without dimensions, of which GeoJSON's schemas say nothing."""
    for ending in ("ZM", "Z", "M"):
        if geometry_type.endswith(ending):
            return geometry_type.removesuffix(ending)
    return geometry_type


def _meet(one: list[float], other: list[float]) -> bool:
    wests = [other] if other[0] <= other[2] else [[other[0], other[1], 180, other[3]], [-180, *other[1:]]]
    return any(
        one[0] <= west[2] and one[2] >= west[0] and one[1] <= west[3] and one[3] >= west[1] for west in wests
    )
