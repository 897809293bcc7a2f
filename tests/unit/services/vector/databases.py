"""GeoPackages and databases of SQLite with whatever values."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import shapely

from services.vector.files import DRIVERS


def database(path: Path, declared: str, values: Sequence[Any]) -> Path:
    """A layer with a column `v` of a type, which has these values."""
    points = shapely.to_wkb(shapely.points([[n, n] for n in range(len(values))])).tolist()
    table = pyarrow.table({"geom": pyarrow.array(points, pyarrow.binary())})
    pyogrio.write_arrow(
        table,
        path,
        driver=DRIVERS[path.suffix[1:]],
        geometry_name="geom",
        geometry_type="Point",
        crs="EPSG:4326",
    )
    with closing(sqlite3.connect(path)) as made:
        for (trigger,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            made.execute(f'DROP TRIGGER "{trigger}"')
        made.execute(f"ALTER TABLE a ADD COLUMN v {declared}")
        made.executemany("UPDATE a SET v = ? WHERE rowid = ?", [(v, n) for n, v in enumerate(values, 1)])
        made.commit()
    return path


def remade(path: Path, columns: str, selected: str = "geom, v") -> Path:
    """Its table anew, with other columns, filled by those selected of the old one."""
    with closing(sqlite3.connect(path)) as made:
        place = "GEOMETRY" if path.suffix == ".sqlite" else "geom"
        made.execute("DROP TABLE IF EXISTS rtree_a_geom")
        made.execute("ALTER TABLE a RENAME TO b")
        made.execute(f"CREATE TABLE a ({columns.replace('geom', place)})")
        made.execute(f"INSERT INTO a SELECT {selected.replace('geom', place)} FROM b")
        made.execute("DROP TABLE b")
        if path.suffix == ".gpkg":
            made.execute("DELETE FROM gpkg_extensions")
        made.commit()
    return path


def view(path: Path, selected: str) -> Path:
    """A layer that is a view of the table, which is none itself then."""
    with closing(sqlite3.connect(path)) as made:
        made.execute("ALTER TABLE a RENAME TO b")
        made.execute(f"CREATE VIEW a AS SELECT {selected}")
        made.execute("DELETE FROM gpkg_extensions")
        for table in ("gpkg_contents", "gpkg_geometry_columns", "gpkg_ogr_contents"):
            made.execute(f"UPDATE {table} SET table_name = 'a' WHERE table_name = 'b'")
        made.commit()
    return path
