"""What waits, what happened lately, and poison messages that are taken up again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import azure.functions as func
from pydantic import Field

from interfaces.access import Role
from interfaces.errors import Conflict, DependencyUnavailable, JobNotFound, NotFound, PayloadTooLarge

from .dependencies import Document, HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import views as documents
from .documents.jobs import ChangedJob
from .problems import bad_field
from .requests import Query, Request
from .responses import answer, job_links
from .routing import Endpoint

LARGEST_NUMBER = 2**63 - 1


class ActivityQuery(Query):
    """Of the last so many minutes, at most a day."""

    minutes: Annotated[int, Field(ge=1, le=1440)] = 60


class HistoryQuery(Query):
    """Of the last so many hours, at most a week."""

    hours: Annotated[float, Field(ge=1, le=168, allow_inf_nan=False)] = 24


HISTORY = Operation(
    Tag.DATABASE, {200: Answer("The samples", documents.History)}, query=HistoryQuery, problems=DATABASE
)
ACTIVITY = Operation(
    Tag.DATABASE, {200: Answer("The counts", documents.Activity)}, query=ActivityQuery, problems=DATABASE
)
QUEUES = Operation(
    Tag.DATABASE,
    {200: Answer("What waits", documents.Queues)},
    problems=(NotFound, DependencyUnavailable, *DATABASE),
)
REPLAY = Operation(
    Tag.DATABASE,
    {202: Answer("What it was about is taken up again", ChangedJob, headers=("Location", "Retry-After"))},
    problems=(NotFound, JobNotFound, Conflict, PayloadTooLarge, *DATABASE),
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    monitoring = Monitoring(api)
    return [
        Endpoint(
            "monitor_activity",
            "monitor/activity",
            {"GET": monitoring.activity},
            Role.READER,
            traced=False,
            operations={"GET": ACTIVITY},
        ),
        Endpoint(
            "monitor_history",
            "monitor/history",
            {"GET": monitoring.history},
            Role.READER,
            traced=False,
            operations={"GET": HISTORY},
        ),
        Endpoint(
            "monitor_queues",
            "monitor/queues",
            {"GET": monitoring.queues},
            Role.READER,
            traced=False,
            operations={"GET": QUEUES},
        ),
        Endpoint(
            "monitor_replay",
            "monitor/poison/{poison_id}/replay",
            {"POST": monitoring.replay},
            Role.OPERATOR,
            dispatches=True,
            operations={"POST": REPLAY},
        ),
    ]


class Monitoring:
    """Answers about the whole app, cheap enough to be asked every few seconds."""

    def __init__(self, api: HttpDependencies) -> None:
        self._api = api
        self._queues = api.queues
        self._names = {"jobs": api.settings.jobs_queue, "tasks": api.settings.tasks_queue}
        self._max_bytes = api.settings.max_parameters_bytes

    def activity(self, request: Request) -> func.HttpResponse:
        """What happened to tasks over the last minutes."""
        return answer(self._api.activity.lately(request.query(ActivityQuery).minutes))

    def history(self, request: Request) -> func.HttpResponse:
        """What each minute was like: queues, the outbox, tasks, and what came of them."""
        return answer(self._api.activity.history(request.query(HistoryQuery).hours))

    def queues(self, request: Request) -> func.HttpResponse:
        """How many messages wait in each queue, since when, and what waits to be sent."""
        request.query(Query)
        outbox = self._api.diagnostics.outbox()
        queues = [self._queue(kind, name) for kind, name in self._names.items()]
        return answer({"at": datetime.now(UTC), "queues": queues, "outbox": outbox})

    def replay(self, request: Request) -> func.HttpResponse:
        """Take up again what a poison message was about: 202, or 409 where nothing of it waits."""
        request.query(Query)
        request.no_body(max_bytes=self._max_bytes)
        text = request.route("poison_id")
        if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= LARGEST_NUMBER):
            raise bad_field("poison_id", "must be the number of a recorded message")
        changed = self._api.jobs.replay(int(text), correlation_id=request.correlation_id)
        links = job_links(changed.job_id)
        return answer(
            {**changed.model_dump(mode="json"), "links": links},
            status=202,
            headers={"Location": links["status"], "Retry-After": "1"},
        )

    def _queue(self, kind: str, name: str) -> Document:
        front = self._queues.peek(name)
        oldest = min((message.inserted_at for message in front), default=None)
        age = None if oldest is None else max((datetime.now(UTC) - oldest).total_seconds(), 0.0)
        return {
            "kind": kind,
            "name": name,
            "messages": self._queues.length(name),
            # Of those that are visible: a message that is in work, or for later, does not wait.
            "oldest_message_seconds": None if age is None else round(age, 3),
            "poison_messages": self._poison(f"{name}-poison"),
        }

    def _poison(self, queue: str) -> int:
        try:
            return self._queues.length(queue)
        except NotFound:
            return 0  # the host makes a poison queue with its first message
