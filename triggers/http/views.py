"""One job as the operations page draws it: attempts in time, failures by error, one task, and a map."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Literal

import azure.functions as func
from pydantic import Field

from interfaces.access import Role
from interfaces.errors import (
    AccessDenied,
    BlobNotFound,
    ContainerNotFound,
    DependencyUnavailable,
    JobNotFound,
    NotFound,
    OrchestratorError,
)

from .dependencies import Document, HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import views as documents
from .problems import bad_field
from .requests import Limit, Query, Request, Run, Stage, Text, cursor_of, page_size, position_of
from .responses import answer, path
from .routing import Endpoint, Handler

TIMELINE = "timeline"
LOGS_LISTING = "logs"
TIMELINE_PAGE = 2000
LARGEST_TIMELINE_PAGE = 10_000
"""Rows of a timeline are short: an answer of as many is a megabyte."""
MOST_FEATURES = 5000
LARGEST_INDEX = 2**31 - 1
PICTURE = "image/"


class RunQuery(Query):
    """Of which run: the current one by default."""

    run: Run | None = None


class TimelineQuery(RunQuery):
    """`since`: only tasks that something happened to after so many seconds of the run."""

    stage: Stage | None = None
    since: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_TIMELINE_PAGE)] = TIMELINE_PAGE


class LogsQuery(RunQuery):
    """Of which tasks, and how severe the worst of an attempt's lines is at least."""

    stage: Stage | None = None
    task: Annotated[int, Field(ge=0, le=LARGEST_INDEX)] | None = None
    level: Literal["info", "warning", "error"] = "info"
    cursor: str | None = None
    limit: Limit | None = None


class CoverageQuery(RunQuery):
    """At most so many features of each kind."""

    limit: Limit = 1000


class ThumbnailQuery(Query):
    """Of which COG."""

    container: Text
    name: Annotated[str, Field(min_length=1, max_length=1024)]


OF_JOB: tuple[type[OrchestratorError], ...] = (JobNotFound, *DATABASE)
TIMELINE_OF_RUN = Operation(
    Tag.JOBS, {200: Answer("A page of attempts", documents.Timeline)}, query=TimelineQuery, problems=OF_JOB
)
FAILURES = Operation(
    Tag.JOBS, {200: Answer("The groups", documents.Failures)}, query=RunQuery, problems=OF_JOB
)
TASK = Operation(
    Tag.JOBS,
    {200: Answer("The task", documents.WholeTask)},
    query=RunQuery,
    problems=(NotFound, *OF_JOB),
)
LOGS = Operation(
    Tag.JOBS,
    {200: Answer("A page of attempts with their lines", documents.TaskLogs, headers=("Link",))},
    query=LogsQuery,
    problems=OF_JOB,
)
COVERAGE = Operation(
    Tag.JOBS, {200: Answer("The features", documents.Coverage)}, query=CoverageQuery, problems=OF_JOB
)
THUMBNAIL = Operation(
    Tag.JOBS,
    {200: Answer("The picture", also={"image/png": "Of 512 pixels at most"}), 304: Answer("It is the same")},
    query=ThumbnailQuery,
    problems=(NotFound, BlobNotFound, ContainerNotFound, AccessDenied, DependencyUnavailable, *DATABASE),
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    views = Views(api)
    return [
        _get("cogs_thumbnail", "cogs/thumbnail", views.thumbnail, THUMBNAIL),
        # Named to come after jobs_status and jobs_submit, whose routes match jobs/status/coverage too.
        _get("jobs_with_id_coverage", "jobs/{job_id}/coverage", views.coverage, COVERAGE),
        _get("jobs_with_id_failures", "jobs/{job_id}/failures", views.failures, FAILURES),
        _get("jobs_with_id_logs", "jobs/{job_id}/logs", views.logs, LOGS),
        _get("jobs_with_id_task", "jobs/{job_id}/tasks/{stage}/{task_index}", views.task, TASK),
        _get("jobs_with_id_timeline", "jobs/{job_id}/timeline", views.timeline, TIMELINE_OF_RUN),
    ]


def _get(name: str, route: str, handler: Handler, operation: Operation) -> Endpoint:
    return Endpoint(name, route, {"GET": handler}, Role.READER, operations={"GET": operation})


class Views:
    """Answers about one job."""

    def __init__(self, api: HttpDependencies) -> None:
        self._views = api.views
        self._coverage = api.coverage
        self._blobs = api.blobs
        self._settings = api.settings

    def timeline(self, request: Request) -> func.HttpResponse:
        """Every task's attempts, as seconds of the run."""
        job_id, query = request.job_id(), request.query(TimelineQuery)
        after = position_of(TIMELINE, query.cursor)
        found = self._views.origin(job_id, query.run)
        origin, now, run = found["origin"], found["now"], found["run"]
        assert isinstance(origin, datetime)
        assert isinstance(now, datetime)
        assert isinstance(run, int)
        tasks, following = self._views.timeline(
            job_id,
            run=run,
            origin=origin,
            stage=query.stage,
            since=query.since,
            after=after,
            limit=query.limit,
        )
        cursor = cursor_of(TIMELINE, following)
        # Pinned: a new run must not slip in between two pages.
        again = request.repeated(cursor=cursor, run=str(run))
        link = path("jobs", job_id, "timeline", **again) if cursor else None
        return answer(
            {
                "job_id": job_id,
                "run": run,
                "status": found["status"],
                "origin": origin,
                "now": round((now - origin).total_seconds(), 3),
                "tasks": [list(task.values()) for task in tasks],
                "count": len(tasks),
                "next_cursor": cursor,
                "links": {"next": link},
            },
            headers={"Link": f'<{link}>; rel="next"'} if link else {},
        )

    def failures(self, request: Request) -> func.HttpResponse:
        """Failed tasks by what their errors have in common."""
        job_id, query = request.job_id(), request.query(RunQuery)
        run = self._run(job_id, query)
        return answer({"job_id": job_id, "run": run, **self._views.failures(job_id, run)})

    def task(self, request: Request) -> func.HttpResponse:
        """One task with all that is known of it."""
        job_id, query = request.job_id(), request.query(RunQuery)
        stage = _number(request, "stage", 1, 2**15 - 1)
        index = _number(request, "task_index", 0, LARGEST_INDEX)
        run = self._run(job_id, query)
        return answer(self._views.task(job_id, run=run, stage=stage, task_index=index))

    def logs(self, request: Request) -> func.HttpResponse:
        """What the attempts of a run logged, by task and time."""
        job_id, query = request.job_id(), request.query(LogsQuery)
        after = position_of(LOGS_LISTING, query.cursor)
        run = self._run(job_id, query)
        shown, following = self._views.logs(
            job_id,
            run=run,
            stage=query.stage,
            task_index=query.task,
            severity=logging.getLevelNamesMapping()[query.level.upper()],
            after=after,
            limit=page_size(query.limit, self._settings),
        )
        cursor = cursor_of(LOGS_LISTING, following)
        again = request.repeated(cursor=cursor, run=str(run))
        link = path("jobs", job_id, "logs", **again) if cursor else None
        return answer(
            {
                "job_id": job_id,
                "run": run,
                "logs": shown,
                "count": len(shown),
                "next_cursor": cursor,
                "links": {"next": link},
            },
            headers={"Link": f'<{link}>; rel="next"'} if link else {},
        )

    def coverage(self, request: Request) -> func.HttpResponse:
        """What the job covers, as GeoJSON; COGs with where their thumbnails are."""
        job_id, query = request.job_id(), request.query(CoverageQuery)
        if query.limit > MOST_FEATURES:
            raise bad_field("limit", f"must be between 1 and {MOST_FEATURES}")
        run = self._run(job_id, query)
        found = self._coverage.features(job_id, run, query.limit)
        return answer({**found, "features": [_linked(feature) for feature in _listed(found["features"])]})

    def thumbnail(self, request: Request) -> func.HttpResponse:
        """The picture of a published COG; 304 where the caller has that of the same COG."""
        query = request.query(ThumbnailQuery)
        if "\x00" in query.name:
            raise bad_field("name", "must be text without U+0000")
        place = self._coverage.thumbnail(query.container, query.name)
        if not place.content_type.startswith(PICTURE):
            raise NotFound("the thumbnail is no picture")
        etag = f'"{place.etag.strip(chr(34))}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=3600"}
        if request.headers.get("if-none-match") == etag:
            return func.HttpResponse(status_code=304, headers=headers)
        picture = self._blobs.read(place.container, place.name)
        # Opened by itself it must not be able to do anything, whatever somebody has put there.
        headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return func.HttpResponse(picture, status_code=200, mimetype=place.content_type, headers=headers)

    def _run(self, job_id: str, query: RunQuery) -> int:
        run = self._views.origin(job_id, query.run)["run"]
        assert isinstance(run, int)
        return run


def _number(request: Request, name: str, smallest: int, largest: int) -> int:
    text = request.route(name)
    # isdecimal alone would take digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and smallest <= int(text) <= largest):
        raise bad_field(name, f"must be a whole number from {smallest} to {largest}")
    return int(text)


def _listed(value: object) -> list[Document]:
    return value if isinstance(value, list) else []


def _linked(feature: Document) -> Document:
    properties = feature["properties"]
    if not isinstance(properties, dict) or not properties.pop("thumbnail", False):
        return feature
    place = {"container": str(properties["container"]), "name": str(properties["name"])}
    return {**feature, "properties": {**properties, "thumbnail": path("cogs", "thumbnail", **place)}}
