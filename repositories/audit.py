"""Who did what: written with what is done, and listed."""

from __future__ import annotations

from interfaces.access import current_caller

from .connection import Connection
from .database import Database
from .json_text import to_json
from .keyset import Page, Position, page, position
from .sql_files import queries


def caller() -> str | None:
    """Who asks for the work at hand, as statements take it; None where nobody does."""
    found = current_caller()
    return None if found is None else to_json(found.document())


def note_schema_change(connection: Connection, operation: str, made: list[str]) -> None:
    """Write down, in this transaction, that somebody changes the schema. It outlives the schema."""
    who = caller()
    present = connection.execute(queries("audit")["is_there"]).fetchone()
    if who is None or present is None or not present["present"]:
        return
    named = {"caller": who, "action": f"schema_{operation}", "detail": to_json({"made": made})}
    connection.execute(queries("audit")["note_schema_change"], named)


class Audit:
    """What callers of the API did."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("audit")

    def note(self, action: str, **detail: object) -> None:
        """Write down what is about to be done, where that is more than one transaction of ours."""
        who = caller()
        if who is not None:
            with self._database.connection() as connection:
                connection.execute(
                    self._sql["note"], {"caller": who, "action": action, "detail": to_json(detail)}
                )

    def actions(
        self,
        *,
        who: str | None,
        action: str | None,
        job_id: str | None,
        hours: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """What was done, the newest first. `who`: the beginning of a name, or an object id."""
        (before,) = position(after, "bigint") or (None,)
        named = {"who": who, "action": action, "job_id": job_id, "hours": hours, "before": before}
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["actions"], named | {"limit": limit + 1}).fetchall()
        return page(rows, limit, lambda row: [row["action_id"]])
