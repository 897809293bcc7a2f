"""Spans by OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as RawSpan
from opentelemetry.trace import SpanKind as RawKind

from interfaces.tracing import Span, SpanKind, TraceContext, Tracing, Value, within

SCOPE = "orchestrator"
LONGEST_REASON = 500
_KINDS = {
    SpanKind.SERVER: RawKind.SERVER,
    SpanKind.CONSUMER: RawKind.CONSUMER,
    SpanKind.INTERNAL: RawKind.INTERNAL,
}


class OtelSpan(Span):
    """A span that is open."""

    def __init__(self, raw: RawSpan) -> None:
        self._raw = raw

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""
        self._raw.set_attributes(dict(attributes))

    def failed(self, reason: str) -> None:
        """The work failed."""
        self._raw.set_status(Status(StatusCode.ERROR, reason[:LONGEST_REASON]))


class OtelTracing(Tracing):
    """Makes spans, and hands them to processors that send them from threads of their own."""

    on = True

    def __init__(self, resource: Resource, processors: Sequence[SpanProcessor]) -> None:
        # What samples is OTEL_TRACES_SAMPLER; by default what the caller says, and all where nobody does.
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for processor in processors:
            provider.add_span_processor(processor)
        self._resource = resource
        self._processors = processors
        self._scope = InstrumentationScope(SCOPE)
        self._tracer = provider.get_tracer(SCOPE)

    @contextmanager
    def span(
        self,
        name: str,
        parent: str | None,
        attributes: Mapping[str, Value],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        link: str | None = None,
    ) -> Iterator[Span]:
        """The block is a span below `parent`."""
        above, led_by = TraceContext.parse(parent), TraceContext.parse(link)
        opened = self._tracer.start_as_current_span(
            name,
            context=set_span_in_context(NonRecordingSpan(_raw(above)), Context()) if above else Context(),
            kind=_KINDS[kind],
            attributes=dict(attributes),
            links=[Link(_raw(led_by))] if led_by and led_by != above else [],
            # What an exception quotes may be a secret: whoever knows it says so by `failed`.
            record_exception=False,
            set_status_on_exception=False,
        )
        with opened as raw, within(_traceparent(raw.get_span_context())):
            try:
                yield OtelSpan(raw)
            except BaseException as error:
                raw.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def ended(
        self,
        name: str,
        place: TraceContext,
        parent: TraceContext,
        times: tuple[datetime, datetime],
        attributes: Mapping[str, Value],
        failure: str | None,
    ) -> None:
        """Make a span of work that is over."""
        if not place.sampled:
            return
        start, end = (int(time.timestamp() * 1e6) * 1000 for time in times)
        failed = Status(StatusCode.ERROR, failure[:LONGEST_REASON]) if failure is not None else None
        span = ReadableSpan(
            name,
            context=_raw(place, remote=False),
            parent=_raw(parent),
            resource=self._resource,
            attributes=dict(attributes),
            kind=RawKind.INTERNAL,
            status=failed or Status(StatusCode.UNSET),
            start_time=start,
            end_time=end,
            instrumentation_scope=self._scope,
        )
        for processor in self._processors:
            processor.on_end(span)


def _raw(context: TraceContext, *, remote: bool = True) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), remote, flags)


def _traceparent(context: SpanContext) -> str:
    return str(
        TraceContext(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)
    )
