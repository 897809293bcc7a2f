"""Published COGs in PostgreSQL, and publications under way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from interfaces.publications import Publication, PublicationRepository, PublishedCog, TargetRecord

from .database import Database
from .json_text import to_json
from .sql_files import queries


class PostgresPublicationRepository(PublicationRepository):
    """`PublicationRepository` on the app's database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("cogs")

    def find(self, container: str, name: str, mark: str | None) -> TargetRecord:
        """What is known of a target, and of the publication with this mark."""
        [row] = self._rows("find_cog", container=container, name=name, publication=mark)
        return TargetRecord(
            cog=_cog(row["cog"]) if row["cog"] else None,
            under_way=Publication.model_validate(row["under_way"]) if row["under_way"] else None,
            live=row["live"],
        )

    def is_source(self, job_id: str, run: int, name: str) -> bool:
        """Whether a task of the run inspects this blob."""
        # What all tasks of a stage share, such as the container, is with the stage.
        blob = to_json({"name": name})
        [row] = self._rows("is_source", job_id=job_id, run=run, blob=blob)
        return bool(row["found"])

    def begin(self, publication: Publication) -> bool:
        """Note the intent; false when its attempt no longer holds the task."""
        cog = to_json(publication.model_dump(mode="json"))
        [row] = self._rows("begin_publication", publication=publication.mark, cog=cog)
        return bool(row["begun"])

    def publish(self, publication: Publication, etag: str) -> PublishedCog | None:
        """Record that the target is this publication's; None when its attempt no longer holds the task."""
        rows = self._rows("publish_cog", **_key(publication), etag=etag)
        return _cog(rows[0]["cog"]) if rows else None

    def settle(self, publication: Publication, etag: str, *, over: str | None) -> bool:
        """Record a publication whose attempt is gone and whose copy is the target with this etag."""
        [row] = self._rows("settle_publication", **_key(publication), etag=etag, over=over)
        return bool(row["settled"])

    def forget(self, publication: Publication) -> None:
        """Drop an intent: its copy is not the target, and its attempt is gone or will make none."""
        self._rows("forget_publication", **_key(publication))

    def unsettled(self, age: timedelta, limit: int) -> list[Publication]:
        """Intents of so long ago whose attempts no longer hold their tasks, the oldest first."""
        rows = self._rows("unsettled_publications", age=age, limit=limit)
        return [Publication.model_validate(row["cog"]) for row in rows]

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchall()


def _key(publication: Publication) -> dict[str, object]:
    return {"container": publication.container, "name": publication.name, "publication": publication.mark}


def _cog(row: dict[str, Any]) -> PublishedCog:
    # A later release may have more columns.
    return PublishedCog.model_validate({field: row[field] for field in PublishedCog.model_fields})
