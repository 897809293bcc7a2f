"""Jobs that the clock submits (docs/schedules.md)."""

from __future__ import annotations

import azure.functions as func

from interfaces.access import Role
from interfaces.errors import Conflict, InvalidParameters, NotFound, PayloadTooLarge, UnknownJobType
from interfaces.follow_ups import NewSchedule, Schedule

from .dependencies import Document, HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import follow_ups as documents
from .listings import PageQuery, listed
from .requests import Query, Request, page_size, position_of
from .responses import answer, path
from .routing import Endpoint

LISTING = "schedules"

ALL = Operation(
    Tag.JOBS,
    {200: Answer("A page of schedules", documents.ShownSchedules, headers=("Link",))},
    query=PageQuery,
    problems=DATABASE,
)
CREATE = Operation(
    Tag.JOBS,
    {201: Answer("It is there", documents.ShownSchedule)},
    body=NewSchedule,
    problems=(InvalidParameters, UnknownJobType, Conflict, PayloadTooLarge, *DATABASE),
)
ONE = Operation(
    Tag.JOBS, {200: Answer("The schedule", documents.ScheduleWithTicks)}, problems=(NotFound, *DATABASE)
)
DELETE = Operation(Tag.JOBS, {204: Answer("It is gone")}, problems=(NotFound, *DATABASE))
SWITCH = Operation(
    Tag.JOBS,
    {200: Answer("The schedule as it is now", documents.ShownSchedule)},
    problems=(NotFound, PayloadTooLarge, *DATABASE),
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    calls = ScheduleCalls(api)
    return [
        Endpoint(
            "schedules",
            "schedules",
            {"GET": calls.all, "POST": calls.create},
            # Not for readers: a schedule has addresses of receivers, which are secrets often enough.
            Role.OPERATOR,
            operations={"GET": ALL, "POST": CREATE},
        ),
        Endpoint(
            "schedules_with_name",
            "schedules/{name}",
            {"GET": calls.one, "DELETE": calls.delete},
            Role.OPERATOR,
            operations={"GET": ONE, "DELETE": DELETE},
        ),
        Endpoint(
            "schedules_with_name_enable",
            "schedules/{name}/enable",
            {"POST": calls.enable},
            Role.OPERATOR,
            operations={"POST": SWITCH},
        ),
        Endpoint(
            "schedules_with_name_disable",
            "schedules/{name}/disable",
            {"POST": calls.disable},
            Role.OPERATOR,
            operations={"POST": SWITCH},
        ),
    ]


class ScheduleCalls:
    """Translates between HTTP and the engine's calls."""

    def __init__(self, api: HttpDependencies) -> None:
        self._schedules = api.schedules
        self._settings = api.settings
        self._max_bytes = api.settings.max_parameters_bytes

    def all(self, request: Request) -> func.HttpResponse:
        """Schedules with their last tick, by name."""
        query = request.query(PageQuery)
        found, following = self._schedules.listed(
            after=position_of(LISTING, query.cursor), limit=page_size(query.limit, self._settings)
        )
        return listed(request, LISTING, ([_shown(one) for one in found], following), LISTING)

    def create(self, request: Request) -> func.HttpResponse:
        """Add a schedule."""
        request.query(Query)
        made = self._schedules.create(request.body_as(NewSchedule, max_bytes=self._max_bytes))
        return answer(_shown(made), status=201, headers={"Location": path("schedules", made.name)})

    def one(self, request: Request) -> func.HttpResponse:
        """A schedule with its last hundred ticks."""
        request.query(Query)
        found, ticks = self._schedules.one(request.route("name"))
        return answer({**_shown(found), "ticks": [tick.model_dump(mode="json") for tick in ticks]})

    def delete(self, request: Request) -> func.HttpResponse:
        """Forget it; the jobs that it submitted stay."""
        request.query(Query)
        self._schedules.delete(request.route("name"))
        return func.HttpResponse(status_code=204)

    def enable(self, request: Request) -> func.HttpResponse:
        """Let it tick, from the next time on."""
        return self._switched(request, enabled=True)

    def disable(self, request: Request) -> func.HttpResponse:
        """Let it rest."""
        return self._switched(request, enabled=False)

    def _switched(self, request: Request, *, enabled: bool) -> func.HttpResponse:
        request.query(Query)
        request.no_body(max_bytes=self._max_bytes)
        return answer(_shown(self._schedules.switch(request.route("name"), enabled=enabled)))


def _shown(schedule: Schedule) -> Document:
    here = ("schedules", schedule.name)
    links = {"self": path(*here), "enable": path(*here, "enable"), "disable": path(*here, "disable")}
    return {**schedule.model_dump(mode="json"), "links": links}
