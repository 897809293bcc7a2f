"""Items of published tables, on their way to the STAC catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from interfaces.layers import LoadedTable
from interfaces.workflows import TaskContext
from services.stac.item_batches import GROUPED_TASKS
from services.stac.table_item import NoPlace, Table, table_item


def discovered(
    tables: Sequence[LoadedTable], collection_id: str, time: datetime | None, context: TaskContext
) -> list[str]:
    """Hand an item of each table to the stage that registers them; why some have none."""
    reasons: list[str] = []
    items: list[dict[str, JsonValue]] = [
        {
            "batch": f"{collection_id}/{context.task_index // GROUPED_TASKS}",
            "collection_id": collection_id,
            # Always the same for a table, so that it is known again, and no other takes its id.
            "source": f"{table.target_schema}.{table.target_table}",
            "item": item,
        }
        for table, item in _items(tables, collection_id, time, context, reasons)
    ]
    context.discover(items)
    return reasons


def _items(
    tables: Sequence[LoadedTable],
    collection_id: str,
    time: datetime | None,
    context: TaskContext,
    reasons: list[str],
) -> Iterator[tuple[LoadedTable, dict[str, JsonValue]]]:
    for done in tables:
        loaded = datetime.fromisoformat(done.loaded_at).astimezone(UTC) if done.loaded_at else None
        if loaded is None or done.address is None:
            continue
        originals = {column.name: column.original for column in done.columns}
        table = Table(
            schema=done.target_schema,
            name=done.target_table,
            title=done.title or done.target_table,
            crs=done.crs or f"EPSG:{done.srid}",
            extent=done.extent,
            rows=done.rows,
            columns=[(one.name, one.type, originals.get(one.name)) for one in done.table_columns],
            geometry=done.geometry_column,
            href=done.address,
        )
        try:
            item = table_item(
                table,
                collection_id=collection_id,
                time=time or loaded,
                loaded=loaded,
                lineage=_lineage(done, context),
            )
        except NoPlace as reason:
            reasons.append(f"{done.target_schema}.{done.target_table}: {reason}")
            continue
        yield done, item


def _lineage(done: LoadedTable, context: TaskContext) -> str:
    more = done.source_count - len(done.sources)
    sources = ", ".join(done.sources) + (f" and {more} more" if more > 0 else "")
    return f"Loaded by job {context.job_id} (vector_to_postgis) from {sources}."
