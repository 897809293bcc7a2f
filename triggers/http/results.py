"""The outcomes of a stage's tasks: page by page as JSON, or as a download."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import azure.functions as func
from pydantic import Field

from interfaces.access import Role
from interfaces.errors import JobNotFound
from interfaces.states import TaskStatus

from .dependencies import Document, HttpDependencies, Position, StageScope
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import jobs as documents
from .downloads import Download, csv_download, ndjson_download, outcome_json
from .requests import Limit, Query, Request, Run, Stage, Words, cursor_of, page_size, position_of
from .responses import job_links, path, to_json
from .routing import Endpoint

LISTING = "results"
MAX_COLUMNS = 500
"""More distinct keys than this make no table; the results then stay one column of JSON."""


class Format(StrEnum):
    """How results are written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


class ResultsQuery(Query):
    """What to show: by default all tasks of the current run's last stage that has any."""

    run: Run | None = None
    stage: Stage | None = None
    status: Annotated[list[TaskStatus], Words] = Field(default_factory=list)
    cursor: str | None = None
    limit: Limit | None = None
    format: Format = Format.JSON


RESULTS = Operation(
    Tag.JOBS,
    {
        200: Answer(
            "Outcomes of the tasks of one stage",
            documents.Results,
            also={
                "application/x-ndjson": "One outcome a line, as in `results`",
                "text/csv": "A line for each outcome, with a column for each key of the results",
            },
            headers=("Link",),
        )
    },
    query=ResultsQuery,
    problems=(JobNotFound, *DATABASE),
    says="NDJSON and CSV are downloads of the whole stage. What does not fit one answer is at its `Link`.",
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoint of this module."""
    pages = ResultPages(api)
    return [
        Endpoint(
            "jobs_with_id_results",
            "jobs/{job_id}/results",
            {"GET": pages.results},
            Role.READER,
            operations={"GET": RESULTS},
        )
    ]


class ResultPages:
    """Hands out results."""

    def __init__(self, api: HttpDependencies) -> None:
        self._results = api.results
        self._settings = api.settings

    def results(self, request: Request) -> func.HttpResponse:
        """A page, or everything as NDJSON or CSV as far as one response holds it."""
        job_id, query = request.job_id(), request.query(ResultsQuery)
        limit = page_size(query.limit, self._settings)
        after = position_of(LISTING, query.cursor)
        scope = self._results.scope(job_id, run=query.run, stage=query.stage, statuses=query.status)
        if query.format is Format.JSON:
            return self._page(request, job_id, scope, after, limit)
        return self._download(request, job_id, scope, after, query)

    def _page(
        self, request: Request, job_id: str, scope: StageScope, after: Position | None, limit: int
    ) -> func.HttpResponse:
        rows, following = self._results.page(scope, after=after, limit=limit)
        cursor = cursor_of(LISTING, following)
        head: Document = {"job_id": job_id, "run": scope.run, "stage": scope.stage, "count": len(rows)}
        following_page = _next(request, job_id, scope, cursor)
        tail: Document = {"next_cursor": cursor, "links": {**job_links(job_id), "next": following_page}}
        # Results are JSON already; they are set in as they are.
        items = ",".join(outcome_json(row) for row in rows)
        body = f'{to_json(head)[:-1]},"results":[{items}],{to_json(tail)[1:]}'
        return func.HttpResponse(
            body, status_code=200, mimetype="application/json", headers=_link(following_page)
        )

    def _download(
        self,
        request: Request,
        job_id: str,
        scope: StageScope,
        after: Position | None,
        query: ResultsQuery,
    ) -> func.HttpResponse:
        rows = self._results.rows(scope, after=after, limit=query.limit)
        if query.format is Format.CSV:
            # The columns of all results, whichever part this is, so that the parts fit together.
            keys = self._results.keys(scope, MAX_COLUMNS)
            download, mimetype = csv_download(rows, keys), "text/csv"
        else:
            download, mimetype = ndjson_download(rows), "application/x-ndjson"
        cursor = self._cursor_after(scope, download, query.limit)
        following = _next(request, job_id, scope, cursor)
        name = f"{job_id[:12]}-run{scope.run}-stage{scope.stage or 0}.{query.format}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', **_link(following)}
        return func.HttpResponse(download.body, status_code=200, mimetype=mimetype, headers=headers)

    def _cursor_after(self, scope: StageScope, download: Download, limit: int | None) -> str | None:
        """Where the next part starts, if this one ended before the rows did."""
        if download.last_index is None or not (download.full or download.rows == limit):
            return None
        position: Position = [download.last_index]
        rows, _ = self._results.page(scope, after=position, limit=1)
        return cursor_of(LISTING, position) if rows else None


def _next(request: Request, job_id: str, scope: StageScope, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    # Pinned: a new run or stage must not slip in between two pages.
    query = request.repeated(cursor=cursor, run=str(scope.run), stage=str(scope.stage))
    return path("jobs", job_id, "results", **query)


def _link(following: str | None) -> dict[str, str]:
    return {"Link": f'<{following}>; rel="next"'} if following else {}
