"""The port to distributed tracing, and what of W3C Trace Context everybody needs.

The trace of a run is kept in its job's row, as the `traceparent` of the request that started it
(https://www.w3.org/TR/trace-context/#traceparent-header). Its stages are spans whose ids anybody can tell, so
that tasks are their children long before the stage has ended and its span is made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)

Value = str | int | float | bool


class SpanKind(StrEnum):
    """What a span is to its caller."""

    SERVER = "server"
    CONSUMER = "consumer"
    INTERNAL = "internal"


@dataclass(frozen=True)
class TraceContext:
    """A place in a trace: ids in hex, and whether it is recorded."""

    trace_id: str
    span_id: str
    sampled: bool

    @classmethod
    def parse(cls, text: str | None) -> TraceContext | None:
        """What the header says; None for anything that is not well-formed."""
        found = _TRACEPARENT.fullmatch(text or "")
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        return cls(found[2], found[3], bool(int(found[4], 16) & 1))

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def stage(self, run: int, stage: int) -> TraceContext:
        """The span of a stage of the run that this context started. The same for whoever asks."""
        digest = hashlib.sha256(f"{self}/{run}/{stage}".encode()).hexdigest()
        return TraceContext(self.trace_id, digest[:16], self.sampled)


_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current_traceparent() -> str | None:
    """Of the span that this code runs in, or of the request where nothing is traced."""
    return _current.get()


@contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """The block runs in this span."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


class Span:
    """What became of a piece of work. This one forgets it."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""

    def failed(self, reason: str) -> None:
        """The work failed, for a reason without secrets."""


NO_SPAN = Span()


class Tracing:
    """Makes spans. This one makes none: it only hands on what a request brought along."""

    on = False

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002 - what is not made needs no name
        parent: str | None,
        attributes: Mapping[str, Value],  # noqa: ARG002
        *,
        kind: SpanKind = SpanKind.INTERNAL,  # noqa: ARG002
        link: str | None = None,  # noqa: ARG002
    ) -> Iterator[Span]:
        """The block is a span below `parent` (a traceparent; None: the first of a new trace).

        What the block raises passes, and fails the span. `link`: another span that led to it.
        """
        with within(parent):
            yield NO_SPAN

    def ended(
        self,
        name: str,
        place: TraceContext,
        parent: TraceContext,
        times: tuple[datetime, datetime],
        attributes: Mapping[str, Value],
        failure: str | None,
    ) -> None:
        """Make a span of work that is over, at this place of its trace, from start to end."""


NO_TRACING = Tracing()
