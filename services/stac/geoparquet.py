"""Tables of items, as the stac-geoparquet specification has them, of which many make one dataset.

The library infers a table's schema from its items, so that tables of one collection may differ: in a property
that some items lack, or a number that is whole in all of them. A dataset has one schema: that of all tables
together, which those that differ are written in once more.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

if TYPE_CHECKING:
    from pyarrow import Schema, Table

COMPRESSION = "zstd"
UNLIKE = "the items do not fit one table, since a field has values of different types in them"
TIMES = frozenset(
    {
        "datetime",
        "start_datetime",
        "end_datetime",
        "created",
        "updated",
        "expires",
        "published",
        "unpublished",
    }
)
"""Properties of which the library makes times."""
_FINER = re.compile(r"(\.\d{6})\d+")
ALONE = "is nothing that a table can hold"


def table_of(pages: Iterable[list[dict[str, Any]]]) -> Table | None:
    """The items as a table, without more than a page of them as Python's objects; None without any.

    Raises `PermanentTaskError` for items that no table can hold.
    """
    import pyarrow

    tables = [_table(alike) for page in pages for alike in _alike(page)]
    if not tables:
        return None
    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise PermanentTaskError(f"{UNLIKE}: {error}"[:1000]) from error


def _table(items: list[dict[str, Any]]) -> Table:
    import pyarrow
    from stac_geoparquet.arrow import parse_stac_items_to_arrow

    try:
        return parse_stac_items_to_arrow(items).read_all()
    except (pyarrow.ArrowException, OverflowError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The library raises whatever it stumbles over.
        if len(items) == 1:
            raise PermanentTaskError(f"item {items[0]['id']!r} {ALONE}: {error!r}"[:1000]) from error
        for one in items:
            _table([one])
        ids = f"{items[0]['id']!r} to {items[-1]['id']!r}"
        raise PermanentTaskError(f"{UNLIKE} (ids {ids}): {error}"[:1000]) from error


def _alike(page: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The items of a page with and without a geometry in their own CRS, which the library cannot mix."""
    kinds: dict[bool, list[dict[str, Any]]] = {}
    for item in map(_complete, page):
        kinds.setdefault(bool(item["properties"].get("proj:geometry")), []).append(item)
    return list(kinds.values())


def _complete(item: dict[str, Any]) -> dict[str, Any]:
    """With a flat box and assets, which every table has, and without empty objects, which none can have.

    The library reads no table in which some boxes have heights. Geometries keep theirs.
    """
    made = {key: _filled(value) for key, value in item.items()}
    made["properties"] = {key: _time(key, value) for key, value in made.get("properties", {}).items()}
    made["assets"] = made.get("assets") or {}
    box = made.get("bbox")
    if isinstance(box, list) and len(box) == 6:
        made["bbox"] = [*box[:2], *box[3:5]]
    elif not isinstance(box, list) or len(box) != 4:
        made["bbox"] = _box(made["geometry"])
    return made


def _time(name: str, value: Any) -> Any:
    """A time of no more than microseconds, which are what a table has."""
    return _FINER.sub(r"\1", value) if name in TIMES and isinstance(value, str) else value


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        filled = ((key, _filled(one)) for key, one in value.items())
        return {key: one for key, one in filled if one != {}}
    return [_filled(one) for one in value] if isinstance(value, list) else value


def _box(geometry: Mapping[str, Any]) -> list[float]:
    from shapely import bounds
    from shapely.geometry import shape

    return [float(value) for value in bounds(shape(geometry))]


def write(table: Table, path: Path, collection: Mapping[str, Any]) -> None:
    """As a file that readers of GeoParquet 1.1 know, with the collection's document in its metadata.

    Raises `PermanentTaskError` for what Parquet cannot hold.
    """
    import pyarrow
    from stac_geoparquet.arrow import to_parquet

    try:
        to_parquet(table, path, collections={str(collection["id"]): collection}, compression=COMPRESSION)
    except pyarrow.ArrowNotImplementedError as error:
        raise PermanentTaskError(f"Parquet cannot hold these items: {error}"[:1000]) from error


def read(path: Path) -> Table:
    """What was written."""
    from pyarrow import parquet

    return parquet.ParquetFile(path).read()


def encoded(schema: Schema) -> str:
    """A schema as text, without what the file says of its collection."""
    return base64.b64encode(schema.remove_metadata().serialize().to_pybytes()).decode("ascii")


def together(schemas: Sequence[str]) -> Schema:
    """The schema that tables of all of these fit into. Raises `PermanentTaskError` where there is none."""
    import pyarrow
    from pyarrow import ipc

    distinct = [ipc.read_schema(pyarrow.py_buffer(base64.b64decode(text))) for text in dict.fromkeys(schemas)]
    try:
        return pyarrow.unify_schemas(distinct, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise PermanentTaskError(f"{UNLIKE}: {error}"[:1000]) from error


def conformed(table: Table, schema: Schema) -> Table:
    """The table in a schema that `together` made of its own and others."""
    import pyarrow

    return pyarrow.concat_tables([schema.empty_table(), table], promote_options="permissive")
