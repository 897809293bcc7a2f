"""Answers about who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from interfaces.access import Kind
from interfaces.contracts import JobId, JsonObject

from .common import Answered, Count, Next, Page


class Action(Answered):
    """One thing that a caller did."""

    action_id: Count
    at: datetime
    action: Annotated[str, Field(description="As in the history of jobs, where it is about one")]
    kind: Kind
    name: str
    object_id: Annotated[str | None, Field(description="Of the user or service principal in Entra ID")]
    correlation_id: str
    job_id: JobId | None
    run: Annotated[int, Field(ge=1)] | None
    detail: JsonObject


class Actions(Page):
    """What callers did, the newest first."""

    actions: list[Action]
    links: Next
