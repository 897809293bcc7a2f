"""Jobs, tasks and events as lists, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, Field

from interfaces.access import Role
from interfaces.errors import JobNotFound, OrchestratorError
from interfaces.states import JobStatus, TaskStatus

from .dependencies import HttpDependencies, Page
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import listings as documents
from .requests import (
    Hours,
    Limit,
    NameAndValue,
    Query,
    Request,
    Run,
    Stage,
    Text,
    Words,
    cursor_of,
    page_size,
    position_of,
)
from .responses import answer, job_links, path
from .routing import Endpoint, Handler


class PageQuery(Query):
    """What every listing takes."""

    cursor: str | None = None
    limit: Limit | None = None


class JobsQuery(PageQuery):
    """Which jobs: by state, type, current stage, changed within so many hours, and by their parameters."""

    status: Annotated[list[JobStatus], Words] = Field(default_factory=list)
    type: Text | None = None
    stage: Stage | None = None
    hours: Hours | None = None
    search: Text | None = None
    contains: Text | None = None
    parameter: NameAndValue | None = None

    @property
    def named(self) -> tuple[str, str] | None:
        """The name and the value in `parameter`."""
        if not self.parameter:
            return None
        name, _, value = self.parameter.partition("=")
        return name, value


class TasksQuery(PageQuery):
    """Which tasks: by state, task type, stage, and changed within so many hours."""

    status: Annotated[list[TaskStatus], Words] = Field(default_factory=list)
    type: Text | None = None
    stage: Stage | None = None
    hours: Hours | None = None


class JobTasksQuery(TasksQuery):
    """Which tasks of one job; `run` is the current one by default."""

    run: Run | None = None


OF_JOB: Sequence[type[OrchestratorError]] = (JobNotFound, *DATABASE)


def _operation(says: str, model: type[BaseModel], query: type[Query], *, of_job: bool) -> Operation:
    answer = Answer(says, model, headers=() if query is Query else ("Link",))
    return Operation(Tag.DATABASE, {200: answer}, query=query, problems=OF_JOB if of_job else DATABASE)


JOBS = _operation("A page of jobs", documents.Jobs, JobsQuery, of_job=False)
JOB = _operation("The job", documents.Job, Query, of_job=True)
TASKS = _operation("A page of tasks", documents.Tasks, TasksQuery, of_job=False)
JOB_TASKS = _operation("A page of the job's tasks", documents.Tasks, JobTasksQuery, of_job=True)
EVENTS = _operation("A page of events", documents.Events, PageQuery, of_job=True)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    lists = Listings(api)
    return [
        _get("db_jobs", "db/jobs", lists.jobs, JOBS),
        _get("db_jobs_with_id", "db/jobs/{job_id}", lists.job, JOB),
        _get("db_tasks", "db/tasks", lists.tasks, TASKS),
        _get("db_tasks_with_id", "db/tasks/{job_id}", lists.job_tasks, JOB_TASKS),
        _get("db_events", "db/events/{job_id}", lists.events, EVENTS),
    ]


def _get(name: str, route: str, handler: Handler, operation: Operation) -> Endpoint:
    return Endpoint(name, route, {"GET": handler}, Role.READER, operations={"GET": operation})


class Listings:
    """Answers with rows and a link to the next page."""

    def __init__(self, api: HttpDependencies) -> None:
        self._inspection = api.inspection
        self._settings = api.settings

    def jobs(self, request: Request) -> func.HttpResponse:
        """Jobs, newest first."""
        query = request.query(JobsQuery)
        page = self._inspection.jobs(
            statuses=query.status,
            job_type=query.type,
            stage=query.stage,
            hours=query.hours,
            search=query.search or None,
            contains=query.contains or None,
            parameter=query.named,
            after=position_of("jobs", query.cursor),
            limit=page_size(query.limit, self._settings),
        )
        return listed(request, "jobs", page, "db", "jobs")

    def job(self, request: Request) -> func.HttpResponse:
        """One job's row, with its parameters and stages."""
        request.query(Query)
        job_id = request.job_id()
        return answer({**self._inspection.job(job_id), "links": job_links(job_id)})

    def tasks(self, request: Request) -> func.HttpResponse:
        """Tasks of all jobs' current runs."""
        query = request.query(TasksQuery)
        page = self._inspection.tasks(
            statuses=query.status,
            task_type=query.type,
            stage=query.stage,
            hours=query.hours,
            after=position_of("tasks", query.cursor),
            limit=page_size(query.limit, self._settings),
        )
        return listed(request, "tasks", page, "db", "tasks")

    def job_tasks(self, request: Request) -> func.HttpResponse:
        """Tasks of one run of a job."""
        job_id, query = request.job_id(), request.query(JobTasksQuery)
        page = self._inspection.job_tasks(
            job_id,
            run=query.run,
            statuses=query.status,
            task_type=query.type,
            stage=query.stage,
            hours=query.hours,
            after=position_of("job_tasks", query.cursor),
            limit=page_size(query.limit, self._settings),
        )
        return listed(request, "tasks", page, "db", "tasks", job_id, cursor_kind="job_tasks")

    def events(self, request: Request) -> func.HttpResponse:
        """A job's history, oldest first."""
        job_id, query = request.job_id(), request.query(PageQuery)
        page = self._inspection.events(
            job_id,
            after=position_of("events", query.cursor),
            limit=page_size(query.limit, self._settings),
        )
        return listed(request, "events", page, "db", "events", job_id)


def listed(
    request: Request, name: str, page: Page, *segments: str, cursor_kind: str = ""
) -> func.HttpResponse:
    """A page of rows under their name, with a link to the next one."""
    rows, following = page
    cursor = cursor_of(cursor_kind or name, following)
    link = path(*segments, **request.repeated(cursor=cursor)) if cursor else None
    return answer(
        {name: rows, "count": len(rows), "next_cursor": cursor, "links": {"next": link}},
        headers={"Link": f'<{link}>; rel="next"'} if link else {},
    )
