"""Tasks in a real database, and the tables that they load."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pyarrow
import shapely
from psycopg.rows import dict_row
from pydantic import SecretStr

from interfaces.layers import ChunkCounts, Column, KindTable, Owner, Rejected, SourceFile, TablePlan
from interfaces.settings import Settings
from interfaces.vectors import IfExists
from repositories.database import Database
from repositories.feature_tables import PostgresFeatureTables

JOB = "a" * 64
POINT = shapely.to_wkb(shapely.set_srid(shapely.Point(1, 2), 4326), include_srid=True)


def batch(rows: Sequence[tuple[bytes | None, int]]) -> pyarrow.RecordBatch:
    geometries, numbers = zip(*rows, strict=True)
    columns = [pyarrow.array(geometries, pyarrow.binary()), pyarrow.array(numbers, pyarrow.int32())]
    return pyarrow.RecordBatch.from_arrays(columns, names=["geom", "n"])


class Killed(BaseException):
    """The process dies here."""


class Yard:
    """Tasks in a real database, and the tables that they load."""

    def __init__(self, url: str) -> None:
        self.database = Database(Settings(database_url=SecretStr(url)))
        self.tables = PostgresFeatureTables(self.database)
        self.admin = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self._fence = 0

    def attempt(self, fence: int = 1, *, stage: int = 4, task: int = 0) -> Owner:
        """The newest attempt of a task: the database says so."""
        self.admin.execute(
            "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, fence, lease_until)"
            " VALUES (%s, 1, %s, %s, '{}', 'processing', %s, now())"
            " ON CONFLICT (job_id, run, stage, task_index) DO UPDATE SET fence = EXCLUDED.fence",
            (JOB, stage, task, fence),
        )
        return Owner(JOB, 1, stage, task, fence)

    def stage(
        self,
        if_exists: IfExists = "fail",
        chunks: int = 1,
        features: int = 2,
        kinds: Sequence[KindTable] = (),
        subdivide: int | None = None,
        numbered: bool = False,
    ) -> str:
        """An empty staging table."""
        plan = TablePlan(
            target_schema="features",
            target_table="t",
            original="T",
            if_exists=if_exists,
            columns=[Column(name="n", type="integer", original="N")],
            key=[],
            generated_key="fid",
            geometry_column="geom",
            geometry_type="Geometry" if kinds else "Point",
            srid=4326,
            crs="EPSG:4326",
            chunks=chunks,
            features=features,
            sources=[SourceFile(container="bronze", name="t.gpkg", etag="0x1", size=1)],
            parameters_hash="p",
            notes=[],
            kinds=list(kinds),
            subdivide=subdivide,
            numbered=numbered,
        )
        self._fence += 1
        return self.tables.stage(plan, self.attempt(self._fence, stage=3))

    def load(self, staging: str, owner: Owner, values: list[int], chunk: int = 0) -> dict[int, ChunkCounts]:
        """Load rows with these values, and reject a feature."""
        with self.tables.loading(staging, owner, chunk) as writer:
            writer.write(batch([(POINT, value) for value in values]))
            writer.reject([Rejected("t.gpkg", "t", "7", "is bad", POINT)])
        return {chunk: ChunkCounts(read=len(values) + 1, loaded=len(values), rejected=1)}

    def values(self, table: str) -> list[int]:
        rows = self.admin.execute(f"SELECT n FROM {table} ORDER BY n").fetchall()
        return [row["n"] for row in rows]

    def count(self, table: str) -> int:
        return int(self.admin.execute(f"SELECT count(*) AS n FROM {table}").fetchall()[0]["n"])

    def staged(self) -> list[str]:
        rows = self.admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'geo_staging'")
        return [row["tablename"] for row in rows]

    def locks(self) -> int:
        rows = self.admin.execute(
            "SELECT count(*) AS n FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE a.datname = current_database() AND pid <> pg_backend_pid()"
            # Not autovacuum, which locks what it looks at whenever it comes.
            " AND a.backend_type = 'client backend'"
        )
        return int(rows.fetchall()[0]["n"])
