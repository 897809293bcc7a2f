"""What is known of a dependency that calls are kept from while it fails."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from .contracts import Contract


class BreakerState(StrEnum):
    """`closed → open → half_open → closed | open`: calls pass, are refused, or one of them tries."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerStatus(Contract):
    """The breaker of one dependency in one process."""

    dependency: str
    state: BreakerState
    failures: int
    """In a row."""
    open_until: datetime | None = None
    """From then on a call tries the dependency again; None unless the breaker is open."""
