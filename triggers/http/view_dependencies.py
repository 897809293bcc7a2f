"""What the endpoints of the operations page need, as they see it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from .answer_types import Document, Page, Position


class JobViews(Protocol):
    """One job as the operations page draws it (`repositories.job_views`)."""

    def origin(self, job_id: str, run: int | None) -> Document:
        """A run's number, and where its scale of time begins."""
        ...

    def timeline(
        self,
        job_id: str,
        *,
        run: int,
        origin: datetime,
        stage: int | None,
        since: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Tasks with their attempts."""
        ...

    def failures(self, job_id: str, run: int) -> Document:
        """Failed tasks by error."""
        ...

    def task(self, job_id: str, *, run: int, stage: int, task_index: int) -> Document:
        """One task with its result and events."""
        ...

    def logs(
        self,
        job_id: str,
        *,
        run: int,
        stage: int | None,
        task_index: int | None,
        severity: int,
        after: Position | None,
        limit: int,
    ) -> Page:
        """What attempts logged, by task and time."""
        ...


class Place(Protocol):
    """Where a thumbnail lies (`repositories.coverage.Thumbnail`)."""

    @property
    def container(self) -> str:
        """The container."""
        ...

    @property
    def name(self) -> str:
        """The blob."""
        ...

    @property
    def content_type(self) -> str:
        """Its media type."""
        ...

    @property
    def etag(self) -> str:
        """The etag of its COG."""
        ...


class Coverage(Protocol):
    """What jobs cover on the Earth (`repositories.coverage`)."""

    def features(self, job_id: str, run: int, limit: int) -> Document:
        """A GeoJSON FeatureCollection."""
        ...

    def thumbnail(self, container: str, name: str) -> Place:
        """Where the picture of a published COG lies."""
        ...


class Activity(Protocol):
    """What the app did lately (`repositories.activity`)."""

    def lately(self, minutes: int) -> Document:
        """Counts over time."""
        ...

    def history(self, hours: float) -> Document:
        """Samples over time."""
        ...
