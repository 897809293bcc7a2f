"""Subscriptions to what happens to jobs, and the callbacks that tell of it (docs/callbacks.md)."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

import azure.functions as func
from pydantic import BeforeValidator, Field

from interfaces.access import Role
from interfaces.callbacks import (
    KINDS,
    CallbackRequest,
    DeadLetters,
    Kinds,
    NewSubscription,
    ResentLetters,
    Subscription,
)
from interfaces.errors import NotFound, PayloadTooLarge, UnknownJobType

from .dependencies import Document, HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import follow_ups as documents
from .listings import listed
from .problems import bad_field
from .requests import JOB_ID, Limit, Query, Request, Words, page_size, position_of
from .responses import answer, path
from .routing import Endpoint

LISTING = "callbacks"
LONGEST_BODY = 8192
CALLBACK_ID = re.compile(r"[1-9][0-9]{0,17}")


class CallbackQuery(Query):
    """`callback_url`: who is to be told; `callback_events`: of what, by default of everything."""

    callback_url: Annotated[str, Field(max_length=2000)] | None = None
    callback_events: Annotated[Kinds, Words] | None = None

    def callback(self) -> CallbackRequest | None:
        """What is asked for. Raises `InvalidRequest` for events without a URL."""
        if self.callback_url is None:
            if self.callback_events is not None:
                raise bad_field("callback_events", "is given without a callback_url")
            return None
        return CallbackRequest(url=self.callback_url, events=self.callback_events or list(KINDS))


def _job_id(value: object) -> object:
    if isinstance(value, str) and not JOB_ID.fullmatch(value):
        raise ValueError("must be 64 lower-case hex digits")
    return value


class ListQuery(Query):
    """Filters of the callbacks."""

    state: Literal["pending", "delivered", "dead"] | None = None
    job_id: Annotated[str, BeforeValidator(_job_id)] | None = None
    limit: Limit | None = None
    cursor: str | None = None


ALL = Operation(
    Tag.JOBS,
    {200: Answer("Every subscription, without its secret", documents.Subscriptions)},
    problems=DATABASE,
)
SUBSCRIBE = Operation(
    Tag.JOBS,
    {201: Answer("It is there", Subscription)},
    body=NewSubscription,
    problems=(UnknownJobType, PayloadTooLarge, *DATABASE),
)
UNSUBSCRIBE = Operation(Tag.JOBS, {204: Answer("It is gone")}, problems=(NotFound, *DATABASE))
LIST = Operation(
    Tag.JOBS,
    {200: Answer("A page of callbacks", documents.Callbacks, headers=("Link",))},
    query=ListQuery,
    problems=DATABASE,
)
RESEND_DEAD = Operation(
    Tag.JOBS,
    {202: Answer("They are sent again", ResentLetters)},
    body=DeadLetters,
    problems=(PayloadTooLarge, *DATABASE),
)
RESEND = Operation(
    Tag.JOBS,
    {202: Answer("It is sent again", documents.Resent)},
    problems=(NotFound, PayloadTooLarge, *DATABASE),
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    calls = CallbackCalls(api)
    return [
        Endpoint(
            "subscriptions",
            "subscriptions",
            {"GET": calls.subscriptions, "POST": calls.subscribe},
            Role.OPERATOR,
            operations={"GET": ALL, "POST": SUBSCRIBE},
        ),
        Endpoint(
            "subscriptions_with_id",
            "subscriptions/{subscription_id}",
            {"DELETE": calls.unsubscribe},
            Role.OPERATOR,
            operations={"DELETE": UNSUBSCRIBE},
        ),
        Endpoint("callbacks", "callbacks", {"GET": calls.list}, Role.OPERATOR, operations={"GET": LIST}),
        Endpoint(
            "callbacks_resend_dead",
            "callbacks/resend",
            {"POST": calls.resend_dead},
            Role.OPERATOR,
            operations={"POST": RESEND_DEAD},
        ),
        Endpoint(
            "callbacks_resend",
            "callbacks/{callback_id}/resend",
            {"POST": calls.resend},
            Role.OPERATOR,
            operations={"POST": RESEND},
        ),
    ]


class CallbackCalls:
    """Translates between HTTP and the engine's calls."""

    def __init__(self, api: HttpDependencies) -> None:
        self._callbacks = api.callbacks
        self._settings = api.settings

    def subscriptions(self, request: Request) -> func.HttpResponse:
        """Every subscription, without its secret."""
        request.query(Query)
        found = self._callbacks.subscriptions()
        return answer({"subscriptions": [one.model_dump(mode="json") for one in found]})

    def subscribe(self, request: Request) -> func.HttpResponse:
        """Add a subscription."""
        request.query(Query)
        made = self._callbacks.subscribe(request.body_as(NewSubscription, max_bytes=LONGEST_BODY))
        location = path("subscriptions", str(made.subscription_id))
        return answer(made.model_dump(mode="json"), status=201, headers={"Location": location})

    def unsubscribe(self, request: Request) -> func.HttpResponse:
        """Remove a subscription, with what it was still to be told."""
        request.query(Query)
        try:
            subscription_id = UUID(request.route("subscription_id"))
        except ValueError:
            raise bad_field("subscription_id", "must be a UUID") from None
        self._callbacks.unsubscribe(subscription_id)
        return func.HttpResponse(status_code=204)

    def list(self, request: Request) -> func.HttpResponse:
        """Callbacks, the newest first: those on their way, those delivered, and the dead letters."""
        query = request.query(ListQuery)
        rows, following = self._callbacks.listed(
            query.state,
            query.job_id,
            after=position_of(LISTING, query.cursor),
            limit=page_size(query.limit, self._settings),
        )
        shown: list[Document] = [
            {**row, "links": {"resend": path("callbacks", str(row["callback_id"]), "resend")}} for row in rows
        ]
        return listed(request, LISTING, (shown, following), "callbacks")

    def resend_dead(self, request: Request) -> func.HttpResponse:
        """Send again what was given up: all of it, or a job's, a subscription's, a host's."""
        request.query(Query)
        which = request.body_as(DeadLetters, max_bytes=LONGEST_BODY)
        return answer(self._callbacks.resend_dead(which).model_dump(mode="json"), status=202)

    def resend(self, request: Request) -> func.HttpResponse:
        """Send a callback again, whatever became of it."""
        request.query(Query)
        request.no_body(max_bytes=LONGEST_BODY)
        text = request.route("callback_id")
        if not CALLBACK_ID.fullmatch(text):
            raise bad_field("callback_id", "must be a whole number")
        self._callbacks.resend(int(text))
        return answer({"callback_id": int(text), "state": "pending"}, status=202)
