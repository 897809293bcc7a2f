"""How far a job is, with long polling, and why it is there."""

from __future__ import annotations

import asyncio
from typing import Annotated

import azure.functions as func
from pydantic import Field

from interfaces.access import Role
from interfaces.costs import JobCost
from interfaces.errors import JobNotFound
from interfaces.explanations import Explanation
from interfaces.states import JobStatus

from .dependencies import Document, HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents.jobs import JobProgress
from .explaining import explain
from .requests import Query, Request, Run
from .responses import answer, job_links
from .routing import AsyncHandler, Endpoint, Handler

POLL_SECONDS = "1"


class StatusQuery(Query):
    """`wait`: answer when the job has ended, but after so many seconds at the latest."""

    wait: Annotated[
        float,
        Field(ge=0, le=60, allow_inf_nan=False, description="Seconds to wait for the end of the job"),
    ] = 0


class CostQuery(Query):
    """`run`: which one; the current one by default."""

    run: Run | None = None


STATUS = Operation(
    Tag.JOBS,
    {200: Answer("How far the job is", JobProgress, headers=("Retry-After",))},
    query=StatusQuery,
    problems=(JobNotFound, *DATABASE),
    says="With `wait`, the answer comes when the job has ended, or after that time.",
)
EXPLAIN = Operation(
    Tag.JOBS, {200: Answer("Why the job is there", Explanation)}, problems=(JobNotFound, *DATABASE)
)

COST = Operation(
    Tag.JOBS,
    {200: Answer("What it took", JobCost)},
    query=CostQuery,
    problems=(JobNotFound, *DATABASE),
    says="Everything that attempts took which reported how they ended, failed ones among them.",
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    status = Status(api)
    return [
        _get("jobs_status", "jobs/status/{job_id}", status.status, STATUS),
        _get("jobs_cost", "jobs/{job_id}/cost", status.cost, COST),
        _get("jobs_explain", "jobs/{job_id}/explain", status.explain, EXPLAIN),
    ]


def _get(name: str, route: str, handler: Handler | AsyncHandler, operation: Operation) -> Endpoint:
    return Endpoint(name, route, {"GET": handler}, Role.READER, operations={"GET": operation})


class Status:
    """Answers for one job. Between two looks it holds neither a thread nor a connection."""

    def __init__(self, api: HttpDependencies) -> None:
        self._inspection = api.inspection
        self._watch = api.watch
        self._explanation = api.explanation
        self._breakers = api.breakers
        self._costs = api.costs

    async def status(self, request: Request) -> func.HttpResponse:
        """State, stages, progress, result and times."""
        query, job_id = request.query(StatusQuery), request.job_id()
        if query.wait:
            # Also says when there is no such job.
            status = await asyncio.to_thread(self._inspection.job_status, job_id)
            if not status.is_terminal:
                await self._watch.ended(job_id, query.wait)
        document = await asyncio.to_thread(self._inspection.progress, job_id)
        ended = JobStatus(str(document["status"])).is_terminal
        return answer(_shown(document, job_id), headers={} if ended else {"Retry-After": POLL_SECONDS})

    def explain(self, request: Request) -> func.HttpResponse:
        """Why the job is where it is, in words and figures, and what can be done about it."""
        request.query(Query)
        facts = self._explanation.facts(request.job_id())
        return answer(explain(facts, self._breakers.status()).model_dump())

    def cost(self, request: Request) -> func.HttpResponse:
        """What a run of the job took: time, memory over time, storage operations, bytes, by stage."""
        query = request.query(CostQuery)
        return answer(self._costs.cost(request.job_id(), query.run).model_dump(mode="json"))


def _shown(document: Document, job_id: str) -> Document:
    return {**document, "links": job_links(job_id)}
