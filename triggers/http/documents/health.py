"""Answers about the app's health."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from interfaces.breakers import BreakerStatus

from .common import Answered, Seconds


class Alive(Answered):
    """The process answers."""

    status: Literal["alive"]


class Ready(Answered):
    """The database answers and has the schema that this release needs; else `reason` says what is wrong."""

    status: Literal["ready", "not ready"]
    reason: str | None = None


class Check(Answered):
    """The outcome of one check, and what it found."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    status: Literal["ok", "failed"]
    duration_ms: Seconds
    error: str | None = None


class Health(Answered):
    """Every check. `breakers` are those of the process that answers."""

    status: Literal["healthy", "unhealthy"]
    checks: dict[str, Check]
    breakers: list[BreakerStatus]
    versions: Annotated[dict[str, str], Field(description="Of libraries")]
