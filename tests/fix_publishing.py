"""Tasks that publish COGs: a database in which they are, and blobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from azure.storage.blob import ContainerClient
from psycopg.rows import dict_row
from pydantic import SecretStr

from interfaces.blobs import BlobRepository
from interfaces.conversions import AcquisitionTime, CogFile, CogRequest, Grid, MadeCog, SourceBlob
from interfaces.publications import Publication, PublicationRepository, PublishedCog
from interfaces.rasters import Overwrite
from interfaces.settings import Settings
from repositories.blobs import AzureBlobRepository
from repositories.database import Database
from repositories.publications import PostgresPublicationRepository
from repositories.storage_account import StorageAccount
from services.cog.publishing import COG_TYPE, Publisher
from services.cog.unfinished import UnfinishedPublications
from tests.doubles.memory_blobs import MemoryBlobs
from tests.unit.services.doubles import Context

SCRATCH = "job-scratch"
NAME = "there/é.tif"
AGE = timedelta(seconds=100)
MakeContainer = Callable[[], ContainerClient]


class Killed(BaseException):
    """The process dies here."""


class Dying(PostgresPublicationRepository):
    """A repository in a process that dies before, or after, one of its steps."""

    def __init__(self, database: Database, step: str = "", *, after: bool = False) -> None:
        super().__init__(database)
        self._step, self._after = step, after

    def begin(self, publication: Publication) -> bool:
        return bool(self._at("begin", lambda: super(Dying, self).begin(publication)))

    def publish(self, publication: Publication, etag: str) -> PublishedCog | None:
        answer: PublishedCog | None = self._at(
            "publish", lambda: super(Dying, self).publish(publication, etag)
        )
        return answer

    def _at(self, step: str, call: Callable[[], Any]) -> Any:
        if step == self._step and not self._after:
            raise Killed
        answer = call()
        if step == self._step:
            raise Killed
        return answer


class Place:
    """Tasks in a real database, and blobs in memory or in a real container."""

    def __init__(self, url: str, blobs: BlobRepository, target: str) -> None:
        self.blobs, self.target = blobs, target
        self.database = Database(Settings(database_url=SecretStr(url)))
        self.publications = PostgresPublicationRepository(self.database)
        self.admin = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def attempt(self, job: str = "a", *, task: int = 0, fence: int = 1, run: int = 1) -> Context:
        """The newest attempt of a task: the database says so."""
        context = Context()
        context.job_id, context.run, context.task_index, context.fence = job * 64, run, task, fence
        context.stage = 5
        self.admin.execute(
            "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, fence, lease_until)"
            " VALUES (%s, %s, 5, %s, '{}', 'processing', %s, now())"
            " ON CONFLICT (job_id, run, stage, task_index) DO UPDATE SET fence = EXCLUDED.fence",
            (context.job_id, run, task, fence),
        )
        return context

    def end(self, context: Context) -> None:
        """The task was cancelled, or given up."""
        self.admin.execute(
            "UPDATE app.tasks SET status = 'cancelled' WHERE job_id = %s AND run = %s AND task_index = %s",
            (context.job_id, context.run, context.task_index),
        )

    def made(
        self,
        context: Context,
        content: bytes = b"cog",
        *,
        overwrite: Overwrite = "if_changed",
        source: str = "a.tif",
        etag: str = "0x1",
        parameters_hash: str = "p",
        thumbnail: bool = True,
    ) -> MadeCog:
        """What the stages before left for the attempt."""
        blob, tile, picture = (context.scratch_name(suffix) for suffix in (".tif", "-tile.tif", ".png"))
        for name in (blob, tile, picture) if thumbnail else (blob, tile):
            self.blobs.write(SCRATCH, name, content, content_type=COG_TYPE)
        return MadeCog(
            request=CogRequest(
                container=self.target,
                name=NAME,
                overwrite=overwrite,
                thumbnail=thumbnail,
                parameters_hash=parameters_hash,
                time=AcquisitionTime(
                    instant=datetime(2026, 1, 1, tzinfo=UTC), source="name", detail="20260101"
                ),
            ),
            sources=[SourceBlob(container="bronze", name=source, etag=etag, size=10)],
            pass_through=False,
            container=SCRATCH,
            blob=blob,
            thumbnail=picture if thumbnail else None,
            tiles=[tile],
            file=CogFile(
                size=len(content),
                md5=hashlib.md5(content).hexdigest(),
                grid=Grid(crs=None, transform=[1, 0, 0, 0, -1, 0], width=1, height=1),
                band_count=1,
                dtype="uint8",
                nodata=None,
                overviews=[],
                compression="deflate",
                pixels_equal=True,
                notes=["a note"],
                item={"id": "a", "assets": {"thumbnail": {}} if thumbnail else {}},
            ),
        )

    def publisher(
        self, publications: PublicationRepository | None = None, blobs: BlobRepository | None = None
    ) -> Publisher:
        return Publisher(
            blobs or self.blobs,
            publications or self.publications,
            SCRATCH,
            lambda: {"gdal": "3.10", "app": "1"},
        )

    def publish(self, made: MadeCog, context: Context) -> Any:
        return self.publisher().publish(made, context, thumbnail="there/é.thumbnail.png")

    def clean(self, age: timedelta = AGE) -> int:
        """The clean-up, as if all intents were old."""
        self.admin.execute("UPDATE geo.cog_publications SET began_at = began_at - interval '1 hour'")
        return UnfinishedPublications(self.blobs, self.publications).clean(age, lambda: None)

    def rows(self) -> list[dict[str, Any]]:
        return self.admin.execute("SELECT * FROM geo.cogs").fetchall()

    def intents(self) -> list[dict[str, Any]]:
        return self.admin.execute("SELECT * FROM geo.cog_publications").fetchall()

    def scratch(self) -> list[str]:
        return [item.name for page in self.blobs.list_pages(SCRATCH) for item in page]

    def consistent(self) -> bytes:
        """The target's content, which its row speaks of; nothing is under way."""
        [row] = self.rows()
        found = self.blobs.properties(self.target, NAME)
        data = self.blobs.read(self.target, NAME)
        assert (row["etag"], row["size"], row["md5"]) == (found.etag, found.size, found.content_md5)
        assert row["publication"] == found.metadata["publication"]
        assert row["md5"] == hashlib.md5(data).hexdigest()
        assert self.intents() == []
        return data


@pytest.fixture
def make_place(database_url: str) -> Iterator[Callable[[BlobRepository, str], Place]]:
    places: list[Place] = []

    def make(blobs: BlobRepository, target: str) -> Place:
        places.append(Place(database_url, blobs, target))
        return places[-1]

    yield make
    for place in places:
        place.admin.close()
        place.database.close()


MakePlace = Callable[[BlobRepository, str], Place]


@pytest.fixture
def place(make_place: MakePlace) -> Place:
    return make_place(MemoryBlobs(), "silver")


@pytest.fixture(params=["memory", "azure"])
def anywhere(request: pytest.FixtureRequest, make_place: MakePlace, container: MakeContainer) -> Place:
    """Blobs in memory, and in a real account."""
    if request.param == "memory":
        return make_place(MemoryBlobs(), "silver")
    blobs = AzureBlobRepository(StorageAccount(request.getfixturevalue("storage_connection_string")))
    blobs.ensure_container(SCRATCH)
    blobs.delete(SCRATCH, [item.name for page in blobs.list_pages(SCRATCH) for item in page])
    return make_place(blobs, str(container().container_name))
