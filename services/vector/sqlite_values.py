"""Values of a SQLite database, GeoPackages among them, that their columns have no room for.

SQLite takes any value into any column, and GDAL makes of each what it takes the column for, without a word:
of a text 0 or 1970-01-01, of 3.5 among whole numbers 3, of 5,000,000,000 among those of 32 bits 705,032,704.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from . import dates, library
from .sqlite_screening import SQLITE_STEPS, TABLE, UNKNOWN, chained, opened, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHOLE = "{{0}} <> CAST({{0}} AS INTEGER) OR {{0}} NOT BETWEEN {least} AND {most}"
DAY = """typeof({0}) <> 'text' OR {0} NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
OR date(substr({0}, 1, 10), '+0 days') IS NOT substr({0}, 1, 10)"""
DATE = f"{DAY} OR length({{0}}) > 10"
TIMESTAMP = f"""{DAY} OR (length({{0}}) > 10
AND (datetime({{0}}) IS NULL OR substr({{0}}, 12, 2) NOT BETWEEN '00' AND '23' OR {{0}} GLOB '*.999[4-9]*'
OR ({{0}} GLOB '*[+-][0-9][0-9]:*' AND {{0}} NOT GLOB '*[+-]??:[03]0*'
AND {{0}} NOT GLOB '*[+-]??:[14]5*')))"""
"""Not written as the standard wants it (OGC 12-128r19, table 1), and worth a look."""
TIME = """typeof({0}) <> 'text' OR time({0}) IS NULL OR substr({0}, 1, 2) NOT BETWEEN '00' AND '23'
OR length({0}) NOT IN (5, 8)"""
FLOAT = "3.4028234663852886e38"
SINGLE = f"{{0}} * {2**29 + 1}.0 - ({{0}} * {2**29 + 1}.0 - {{0}}) = {{0}}"
"""A number has no more than the 24 bits of single precision (T. J. Dekker, 1971)."""
DOUBLE = "1.7976931348623157e308"
"""The largest numbers of 32 and of 64 bits, beside infinity."""
LIST = """CASE WHEN typeof({{0}}) <> 'text' THEN 1 WHEN NOT json_valid({{0}}) THEN 1
WHEN json_type({{0}}) <> 'array' THEN 1
ELSE EXISTS (SELECT 1 FROM json_each({{0}}) AS item WHERE {item}) END"""
HAS_NUL = "instr({0}, char(0))"
"""Where GDAL has a text end."""


def _whole(bits: int) -> str:
    return WHOLE.format(least=-(2 ** (bits - 1)), most=2 ** (bits - 1) - 1)


def _list(item: str) -> str:
    """Not a list, or one with an item of which that is so."""
    return LIST.format(item=item)


NO_NUMBER = "item.type NOT IN ('integer', 'real') OR "
ODD = {
    ("OFTInteger", "OFSTBoolean"): "{0} NOT IN (0, 1)",
    ("OFTInteger", "OFSTInt16"): _whole(16),
    ("OFTInteger", "OFSTNone"): _whole(32),
    ("OFTInteger64", "OFSTNone"): _whole(64),
    ("OFTReal", "OFSTNone"): "{0} <> CAST({0} AS REAL)",
    ("OFTReal", "OFSTFloat32"): (
        f"{{0}} <> CAST({{0}} AS REAL) OR ({{0}} > {FLOAT} AND {{0}} <= {DOUBLE}) "
        f"OR ({{0}} < -{FLOAT} AND {{0}} >= -{DOUBLE})"
    ),
    ("OFTDate", "OFSTNone"): DATE,
    ("OFTDateTime", "OFSTNone"): TIMESTAMP,
    ("OFTTime", "OFSTNone"): TIME,
    ("OFTBinary", "OFSTNone"): "typeof({0}) IN ('integer', 'real')",
    ("OFTIntegerList", "OFSTNone"): _list(NO_NUMBER + _whole(32).format("item.value")),
    ("OFTInteger64List", "OFSTNone"): _list(NO_NUMBER + _whole(64).format("item.value")),
    ("OFTRealList", "OFSTNone"): _list(f"{NO_NUMBER}abs(item.value) > {DOUBLE}"),
    ("OFTStringList", "OFSTNone"): _list("item.type <> 'text'") + r" OR instr({0}, '\u0000')",
    **{("OFTString", subtype): HAS_NUL for subtype in ("OFSTNone", "OFSTJSON", "OFSTUUID")},
}
"""By GDAL's type of a column, SQL: a value, which is not null, is another one to GDAL, or may be."""
WORDS = frozenset({"true", "false", "yes", "no", "on", "off"})
"""That GDAL knows in a column of booleans, of databases that are no GeoPackages."""
EXPECTED = {
    ("OFTInteger", "OFSTBoolean"): "is neither true nor false",
    ("OFTInteger", "OFSTInt16"): "is no whole number of 16 bits, as the column has them",
    ("OFTInteger", "OFSTNone"): "is no whole number of 32 bits, as the column has them",
    ("OFTInteger64", "OFSTNone"): "is no whole number of 64 bits, as the column has them",
    ("OFTReal", "OFSTNone"): "is no number of double precision, as the column has them",
    ("OFTReal", "OFSTFloat32"): "is no number of single precision, as the column has them",
    ("OFTDate", "OFSTNone"): "is no date",
    ("OFTDateTime", "OFSTNone"): "is no date",
    ("OFTTime", "OFSTNone"): "is no time of day",
    ("OFTBinary", "OFSTNone"): "is a number, and the column has bytes",
    ("OFTIntegerList", "OFSTNone"): "is no list of whole numbers of 32 bits",
    ("OFTInteger64List", "OFSTNone"): "is no list of whole numbers of 64 bits",
    ("OFTRealList", "OFSTNone"): "is no list of numbers of double precision",
    ("OFTStringList", "OFSTNone"): "is no list of texts",
    **{
        ("OFTString", subtype): "goes on after a NUL character"
        for subtype in ("OFSTNone", "OFSTJSON", "OFSTUUID")
    },
}
HAS_TIME = "has a time of day, and the column has days"
LOST = "is read without its fraction of a second, which is nearly one"
GEOPACKAGE = "SELECT 1 FROM sqlite_master WHERE name = 'gpkg_contents'"
UNTOLD = """
SELECT count(*) - count(DISTINCT CASE typeof({key}) WHEN 'integer' THEN {key} END) FROM {table}
"""
COUNTED = "SELECT {sums} FROM {table}"
MIDNIGHT = 0.5
SHOWN = 100
COLUMNS_AT_ONCE = 500
"""SQLite answers 2,000 at most, and of each column up to two are asked."""
SHORT = f"CASE WHEN typeof({{0}}) IN ('text', 'blob') THEN substr({{0}}, 1, {SHOWN + 1}) ELSE {{0}} END"
"""However large one is. What is longer is no date."""
MISREAD = "SELECT {key}, {values}, {tests} FROM {table} WHERE {key} BETWEEN ? AND ? AND ({any})"

Types = Mapping[str, tuple[str, str]]
"""By column GDAL's type and subtype."""


def types_of(about: Mapping[str, Any]) -> Types:
    """Of what `reading.described` answers, those columns that may have values that are read as others."""
    found = zip(about["fields"], zip(about["ogr_types"], about["ogr_subtypes"], strict=True), strict=True)
    return {str(name): kind for name, kind in found if kind in ODD}


@dataclass(frozen=True)
class Looked:
    """What a look over all of a table found."""

    rows: int | None
    """None for what is no table."""
    odd: dict[str, int]
    """How many values are odd, by column that has some."""
    rounded: dict[str, int] = field(default_factory=dict)
    """And how many have more digits than their column of single precision."""


def looked_over(
    path: Path, layer: str, types: Types, check: Callable[[], None], key: str | None = None
) -> Looked:
    """Ask SQLite, since GDAL ends without a word where a database is damaged.

    `key` is the column of feature ids. Raises `PermanentTaskError` for that, and for ids that are null: GDAL
    leaves out such features, and has others twice in their stead.
    """
    every = list(types.items())
    pages = range(0, max(len(every), 1), COLUMNS_AT_ONCE)
    looks = [_look(path, layer, dict(every[first : first + COLUMNS_AT_ONCE]), check, key) for first in pages]
    return Looked(
        looks[0].rows,
        {name: count for look in looks for name, count in look.odd.items()},
        {name: count for look in looks for name, count in look.rounded.items()},
    )


def _look(path: Path, layer: str, types: Types, check: Callable[[], None], key: str | None) -> Looked:
    """The same, of some of the columns."""
    ids = "*" if key is None else quoted(key)
    single = [name for name, kind in types.items() if kind == ("OFTReal", "OFSTFloat32")]
    sums = [f"sum({_odd(name, kind)})" for name, kind in types.items()]
    sums += [
        f"sum(typeof({quoted(name)}) = 'real' AND NOT ({SINGLE.format(quoted(name))}))" for name in single
    ]
    is_table = False
    try:
        with closing(opened(path)) as database:
            database.set_progress_handler(check, SQLITE_STEPS)
            is_table = database.execute(TABLE, [layer]).fetchone() is not None
            if not is_table and not sums and key is None:
                return Looked(None, {})
            table = quoted(layer) + (" NOT INDEXED" if is_table else "")
            query = COUNTED.format(sums=", ".join(["count(*)", f"count({ids})", *sums]), table=table)
            rows, keyed, *counts = database.execute(query).fetchone()
    except sqlite3.OperationalError as error:
        if UNKNOWN.search(str(error)) is None:
            # It may have been the check that ended it, and says so again.
            check()
            if is_table:
                raise PermanentTaskError(f"layer {layer!r} cannot be looked through: {error}") from error
            # GDAL says what is wrong with it.
            return Looked(None, {})
        # A view with functions that only GDAL has.
        rows, keyed, *counts = _asked_of_gdal(path, query)
    except sqlite3.DatabaseError as error:
        raise PermanentTaskError(f"the SQLite database cannot be read: {error}") from error
    if keyed < rows:
        raise PermanentTaskError(f"layer {layer!r}: of {rows - keyed} features the id {key!r} is null")
    found = [(name, int(count or 0)) for name, count in zip([*types, *single], counts, strict=True)]
    odd, rounded = found[: len(types)], found[len(types) :]
    return Looked(
        int(rows) if is_table else None,
        {name: count for name, count in odd if count},
        {name: count for name, count in rounded if count},
    )


def _asked_of_gdal(path: Path, query: str) -> list[Any]:
    """What SQL that answers one row of numbers answers."""
    with library.told(str(path), path.name):
        _, table = library.pyogrio().read_arrow(str(path), sql=query)
    return [column[0].as_py() for column in table.columns]


@dataclass(frozen=True)
class Misread:
    """Finds the features of a layer of which GDAL reads a value as another one."""

    database: sqlite3.Connection
    layer: str
    key: str
    """SQL: the id of a feature."""
    types: Types
    """Of the columns that have odd values."""
    is_geopackage: bool

    def rows(self, ids: NDArray[Any]) -> dict[int, str]:
        """By place among the feature ids the reason, of features with such a value."""
        if not len(ids):
            return {}
        found: dict[int, str] = {}
        every = list(self.types.items())
        for first in range(0, len(every), COLUMNS_AT_ONCE):
            found |= self._rows(ids, every[first : first + COLUMNS_AT_ONCE])
        return found

    def first(self) -> str | None:
        """The reason of one such feature, where the layer has any."""
        import numpy

        return replace(self, key="1").rows(numpy.ones(1, numpy.int64)).get(0)

    def _rows(self, ids: NDArray[Any], types: Sequence[tuple[str, tuple[str, str]]]) -> dict[int, str]:
        """The same of some of the columns."""
        tests = [_odd(name, kind) for name, kind in types]
        query = MISREAD.format(
            key=self.key,
            values=", ".join(SHORT.format(quoted(name)) for name, _ in types),
            tests=", ".join(tests),
            table=quoted(self.layer),
            any=chained(" OR ", tests),
        )
        places = {number: place for place, number in enumerate(ids.tolist())}
        found: dict[int, str] = {}
        for number, *values in self.database.execute(query, [int(ids.min()), int(ids.max())]):
            place = places.get(number)
            several = zip(types, values, values[len(types) :], strict=False)
            for (name, kind), value, odd in several:
                wrong = self._wrong(kind, value) if place is not None and odd else None
                if place is not None and wrong is not None:
                    shown = value.hex() if isinstance(value, bytes) else str(value)
                    found[place] = f"column {name!r}: {shown[:SHOWN]!r} {wrong}"
        return found

    def _wrong(self, kind: tuple[str, str], value: object) -> str | None:
        """Why an odd value is read as another one; None where it is not."""
        wrong = EXPECTED[kind]
        if kind == ("OFTInteger", "OFSTBoolean"):
            return None if not self.is_geopackage and str(value).lower() in WORDS else wrong
        if ODD[kind] == TIME:
            return None if isinstance(value, str) and dates.CLOCK.fullmatch(value) else wrong
        if ODD[kind] not in (DATE, TIMESTAMP):
            return wrong
        if isinstance(value, float) and not self.is_geopackage:
            # A day, as SQLite counts them, from noon.
            return HAS_TIME if ODD[kind] == DATE and value % 1 != MIDNIGHT else None
        if not isinstance(value, str) or not dates.is_date(value):
            return wrong
        if ODD[kind] == DATE:
            return HAS_TIME if dates.has_time(value) else None
        return LOST if self.is_geopackage and dates.NEARLY_ONE.search(value) else None


@contextmanager
def misread(
    path: Path, layer: str, key: str | None, types: Types, check: Callable[[], None] | None = None
) -> Iterator[Misread]:
    """What finds such values by `key`, the column of feature ids if there is one, while the block runs.

    `check` is called in between, and ends it by raising.
    """
    with closing(opened(path)) as database:
        database.set_progress_handler(check, SQLITE_STEPS)
        is_geopackage = database.execute(GEOPACKAGE).fetchone() is not None
        # Of bytes that are no text, where there should be a number, as much as can be shown.
        database.text_factory = lambda text: text.decode("utf-8", "replace")
        yield Misread(database, layer, quoted(key) if key else "NULL", types, is_geopackage)


def are_findable(
    path: Path, layer: str, key: str | None, types: Types, odd: Mapping[str, int], check: Callable[[], None]
) -> bool:
    """Whether the ids of features, by which odd values are found, tell them; False where none is misread.

    They do not where `key`, their column, is none, or has anything but whole numbers that come once each.
    Raises `PermanentTaskError` where one is misread then, or nobody knows.
    """
    reason = None
    try:
        with misread(path, layer, key, {name: types[name] for name in odd}, check) as looked:
            query = UNTOLD.format(key=looked.key, table=quoted(layer))
            if key is not None and looked.database.execute(query).fetchone() == (0,):
                return True
            reason = looked.first()
            if reason is None:
                return False
    except sqlite3.OperationalError:
        # A view with functions that only GDAL has; or the check ended it, and says so again.
        check()
    name, count = next(iter(odd.items()))
    reason = reason or f"column {name!r} has {count} values that are not written as those of its type"
    raise PermanentTaskError(
        f"{reason}; and layer {layer!r} has no key of whole numbers by which features with such could be "
        "told: mend them, or leave the column out by columns"
    )


def left_out(path: Path, layer: str, known: Sequence[str]) -> dict[str, str]:
    """Columns of a GeoPackage's table that GDAL leaves out, and their types.

    It does not know them, or they are those of geometries, of which it reads one. `known` are all others,
    with those of the key and of the geometry.
    """
    try:
        with closing(opened(path)) as database:
            every = database.execute(f"PRAGMA table_xinfo({quoted(layer)})").fetchall()
    except sqlite3.Error:
        return {}
    return {str(name): str(kind) for _, name, kind, *_ in every if name not in known}


def _odd(name: str, kind: tuple[str, str]) -> str:
    column = quoted(name)
    return f"({column} IS NOT NULL AND ({ODD[kind].format(column)}))"
