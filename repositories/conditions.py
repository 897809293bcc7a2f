"""Conditions as SQL: from a tree that `interfaces.conditions` has checked, names and values quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from psycopg import sql

from interfaces.conditions import ARITHMETIC, COMPARISONS, SPATIAL
from interfaces.errors import PermanentTaskError
from interfaces.layers import ColumnType

Family = Literal["number", "text", "boolean", "date", "time", "timestamp"]
FAMILIES: Mapping[ColumnType, Family] = {
    "boolean": "boolean",
    "smallint": "number",
    "integer": "number",
    "bigint": "number",
    "real": "number",
    "double precision": "number",
    "numeric": "number",
    "text": "text",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
}
"""Of columns that can be compared; the others are null or not."""
TOLD = frozenset({"date", "time", "timestamp"})
"""What a text may stand for: PostgreSQL reads it, or says that it cannot."""
INTEGER = re.compile(r"-?[0-9]{1,19}")
WGS84 = 4326
Part = tuple[sql.Composable, Family | None]


OPERATORS: Mapping[str, sql.SQL] = {
    "=": sql.SQL("="),
    "<>": sql.SQL("<>"),
    "<": sql.SQL("<"),
    "<=": sql.SQL("<="),
    ">": sql.SQL(">"),
    ">=": sql.SQL(">="),
    "+": sql.SQL("+"),
    "-": sql.SQL("-"),
    "*": sql.SQL("*"),
    "/": sql.SQL("/"),
}
SPATIAL_FUNCTIONS: Mapping[str, sql.SQL] = {
    "s_intersects": sql.SQL("ST_Intersects"),
    "s_disjoint": sql.SQL("ST_Disjoint"),
    "s_within": sql.SQL("ST_Within"),
    "s_contains": sql.SQL("ST_Contains"),
    "s_touches": sql.SQL("ST_Touches"),
    "s_crosses": sql.SQL("ST_Crosses"),
    "s_overlaps": sql.SQL("ST_Overlaps"),
    "s_equals": sql.SQL("ST_Equals"),
}


class ConditionSql:
    """Turns conditions on one table into SQL."""

    def __init__(self, columns: Mapping[str, ColumnType], geometry: str, srid: int) -> None:
        self._columns = columns
        self._geometry = geometry
        self._srid = srid

    def condition(self, tree: Any) -> sql.Composable:
        """An expression that is true or false. Raises `PermanentTaskError` for what the table has not."""
        if isinstance(tree, bool):
            return sql.Literal(tree)
        if "property" in tree:
            name, family = self._scalar(tree)
            if family != "boolean":
                raise PermanentTaskError(f"where: column {tree['property']!r} alone is no condition")
            return name
        op, arguments = tree["op"], tree["args"]
        if op in ("and", "or"):
            joint = sql.SQL(" AND ") if op == "and" else sql.SQL(" OR ")
            return sql.SQL("({})").format(joint.join([self.condition(one) for one in arguments]))
        if op == "not":
            return sql.SQL("(NOT {})").format(self.condition(arguments[0]))
        if op in SPATIAL:
            return self._spatial(op, arguments)
        return self._predicate(op, arguments)

    def _predicate(self, op: str, arguments: list[Any]) -> sql.Composable:
        if op == "isNull":
            return sql.SQL("({} IS NULL)").format(self._any(arguments[0]))
        if op == "in":
            first, *values = self._alike(op, [arguments[0], *arguments[1]])
            return sql.SQL("({} IN ({}))").format(first, sql.SQL(", ").join(values))
        parts = self._alike(op, arguments)
        if op == "between":
            return sql.SQL("({} BETWEEN {} AND {})").format(*parts)
        if op == "like":
            self._only(op, arguments[0], "text")
            return sql.SQL("({} LIKE {})").format(*parts)
        assert op in COMPARISONS
        return sql.SQL("({} {} {})").format(parts[0], OPERATORS[op], parts[1])

    def _alike(self, op: str, arguments: list[Any]) -> list[sql.Composable]:
        """Expressions that can be compared with each other."""
        found = [self._scalar(one) for one in arguments]
        if "number" in {family for _, family in found}:
            # Numbers of JSON are exact up to 2^53 only.
            found = [
                (sql.Literal(int(one)), "number") if isinstance(one, str) and INTEGER.fullmatch(one) else part
                for one, part in zip(arguments, found, strict=True)
            ]
        families = {family for _, family in found}
        if "text" in families and len(families) > 1:
            # As PostgreSQL does it: a text is read as what it is compared with.
            written = all(
                isinstance(one, str) for one, (_, f) in zip(arguments, found, strict=True) if f == "text"
            )
            if written and families - {"text"} <= TOLD:
                families.discard("text")
        if families == {"date", "timestamp"}:
            families = {"timestamp"}
        if len(families) != 1 or None in families:
            kinds = " and ".join(sorted(str(family or "what cannot be compared") for family in families))
            raise PermanentTaskError(f"where: {op} compares {kinds}")
        return [part for part, _ in found]

    def _only(self, op: str, tree: Any, wanted: Family) -> None:
        if self._scalar(tree)[1] != wanted:
            raise PermanentTaskError(f"where: {op} takes {wanted}")

    def _any(self, tree: Any) -> sql.Composable:
        if isinstance(tree, dict) and tree.get("property") == self._geometry:
            return sql.Identifier(self._geometry)
        return self._scalar(tree)[0]

    def _scalar(self, tree: Any) -> Part:
        if isinstance(tree, bool):
            return sql.Literal(tree), "boolean"
        if isinstance(tree, int | float):
            return sql.Literal(tree), "number"
        if isinstance(tree, str):
            return sql.Literal(tree), "text"
        if "property" in tree:
            name = tree["property"]
            if name not in self._columns:
                known = ", ".join(self._columns)
                raise PermanentTaskError(f"where: there is no column {name!r} in {known}"[:500])
            return sql.Identifier(name), FAMILIES.get(self._columns[name])
        if "date" in tree:
            return sql.Literal(date.fromisoformat(tree["date"])), "date"
        if "timestamp" in tree:
            return sql.Literal(datetime.fromisoformat(tree["timestamp"])), "timestamp"
        op, arguments = tree["op"], tree["args"]
        wanted: Family = "number" if op in ARITHMETIC else "text"
        for one in arguments:
            self._only(op, one, wanted)
        parts = [self._scalar(one)[0] for one in arguments]
        if op == "casei":
            return sql.SQL("lower({})").format(*parts), "text"
        return sql.SQL("({} {} {})").format(parts[0], OPERATORS[op], parts[1]), "number"

    def _spatial(self, op: str, arguments: list[Any]) -> sql.Composable:
        column, shape = arguments
        if column != {"property": self._geometry}:
            raise PermanentTaskError(f"where: {op} is about the geometry, which is column {self._geometry!r}")
        if "bbox" in shape:
            made: sql.Composable = sql.SQL("ST_MakeEnvelope({}, {}, {}, {}, {})").format(
                *map(sql.Literal, [*map(float, shape["bbox"]), WGS84])
            )
        else:
            made = sql.SQL("ST_SetSRID(ST_GeomFromGeoJSON({}), {})").format(
                sql.Literal(json.dumps(shape)), sql.Literal(WGS84)
            )
        if self._srid != WGS84:
            made = sql.SQL("ST_Transform({}, {})").format(made, sql.Literal(self._srid))
        return sql.SQL("{}({}, {})").format(SPATIAL_FUNCTIONS[op], sql.Identifier(self._geometry), made)
