"""The port to what is known of published COGs, and of publications that are under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from pydantic import JsonValue

from .contracts import Contract
from .conversions import SourceBlob


class Origin(Contract):
    """What a COG was made from, of what kind it is, and by whom."""

    container: str
    name: str
    job_id: str
    run: int
    stage: int
    task_index: int
    sources: list[SourceBlob]
    parameters_hash: str
    versions: dict[str, str]
    """Of the software that made it."""
    size: int
    """Bytes."""
    md5: str
    """Hex."""
    notes: list[str]
    item: dict[str, JsonValue]
    """Its STAC item."""

    def same_sources(self, sources: Sequence[SourceBlob]) -> bool:
        """Whether these are the blobs it was made from, unchanged with their sidecars and in this order."""
        mine, others = (
            [(blob.container, blob.name, blob.etag, blob.sidecars) for blob in blobs]
            for blobs in (self.sources, sources)
        )
        return mine == others


class Publication(Origin):
    """The intent of one attempt to publish a COG."""

    fence: int

    @property
    def mark(self) -> str:
        """Tells it from all others; the target's metadata bear it from the moment of the copy."""
        return f"{self.job_id}/{self.run}/{self.stage}/{self.task_index}-{self.fence}"

    def same_task(self, other: Publication) -> bool:
        """Whether both are attempts of one task."""
        mine, others = ((p.job_id, p.run, p.stage, p.task_index) for p in (self, other))
        return mine == others


class PublishedCog(Origin):
    """A COG that is published: the target has this etag, unless somebody else wrote there since."""

    publication: str
    """The mark of the publication that made it."""
    etag: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """What the database knows of a target, at one moment."""

    cog: PublishedCog | None
    """What was published there last."""
    under_way: Publication | None
    """The publication that was asked for, if it began and is not recorded as published."""
    live: bool
    """Whether its attempt still holds its task, so that it may go on."""


class Outcome(Contract):
    """How a publication ended."""

    status: Literal["published", "unchanged"]
    reason: str | None
    """Why it is unchanged."""
    cog: PublishedCog | None
    """None where the target holds what this app did not publish."""


class PublicationRepository(Protocol):
    """Each call is one statement. All raise `ServiceUnavailable` when the database cannot be reached."""

    def find(self, container: str, name: str, mark: str | None) -> TargetRecord:
        """What is known of a target, and of the publication with this mark."""
        ...

    def is_source(self, job_id: str, run: int, name: str) -> bool:
        """Whether a task of the run inspects a blob of this name in the container of the job's rasters."""
        ...

    def begin(self, publication: Publication) -> bool:
        """Note the intent; false, and nothing is noted, when its attempt no longer holds the task."""
        ...

    def publish(self, publication: Publication, etag: str) -> PublishedCog | None:
        """Record that the target is this publication's, and forget the intents of its task there.

        None, and nothing is changed, when its attempt no longer holds the task or others have dealt with its
        intent.
        """
        ...

    def settle(self, publication: Publication, etag: str, *, over: str | None) -> bool:
        """Record a publication whose attempt is gone and whose copy is the target with this etag.

        False, and nothing is changed, where the last one recorded is no longer `over` (a mark, None for
        none), its attempt holds its task after all, or it was dealt with.
        """
        ...

    def forget(self, publication: Publication) -> None:
        """Drop an intent: its copy is not the target, and its attempt is gone or will make none."""
        ...

    def unsettled(self, age: timedelta, limit: int) -> list[Publication]:
        """Intents of so long ago whose attempts no longer hold their tasks, the oldest first."""
        ...
