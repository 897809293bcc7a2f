"""What the API needs to know who calls and to keep what they did, as it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from interfaces.access import Principal

from .answer_types import Page, Position


class Identities(Protocol):
    """Who calls, where the app is asked to find out (`repositories.entra`)."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """The caller, by headers of lower-case names. Raises `NotAuthenticated`, `ServiceUnavailable`."""
        ...


class Audit(Protocol):
    """Who did what (`repositories.audit`)."""

    def note(self, action: str, **detail: object) -> None:
        """Write down what the caller is about to do, where no transaction of ours does it."""
        ...

    def actions(
        self,
        *,
        who: str | None,
        action: str | None,
        job_id: str | None,
        hours: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """What callers did, the newest first."""
        ...
