"""Tables of items, as the stac-geoparquet specification has them, of which many make one dataset.

The library infers a table's schema from its items, so that tables of one collection may differ: in a property
that some items lack, or a number that is whole in all of them. A dataset has one schema: that of all tables
together, which those that differ are written in once more.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

if TYPE_CHECKING:
    from pyarrow import Schema, Table

COMPRESSION = "zstd"
UNLIKE = "the items do not fit one table, since a field has values of different types in them"


def table_of(pages: Iterable[list[dict[str, Any]]]) -> Table | None:
    """The items as a table, without more than a page of them as Python's objects; None without any.

    Raises `PermanentTaskError` for items that no table can hold.
    """
    import pyarrow
    from stac_geoparquet.arrow import parse_stac_items_to_arrow

    tables = []
    for page in pages:
        try:
            tables.append(parse_stac_items_to_arrow(page).read_all())
        except (pyarrow.ArrowException, OverflowError) as error:
            first, last = page[0]["id"], page[-1]["id"]
            raise PermanentTaskError(f"{UNLIKE} (ids {first!r} to {last!r}): {error}"[:1000]) from error
    if not tables:
        return None
    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise PermanentTaskError(f"{UNLIKE}: {error}"[:1000]) from error


def write(table: Table, path: Path, collection: Mapping[str, Any]) -> None:
    """As a file that readers of GeoParquet 1.1 know, with the collection's document in its metadata."""
    from stac_geoparquet.arrow import to_parquet

    to_parquet(table, path, collections={str(collection["id"]): collection}, compression=COMPRESSION)


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
