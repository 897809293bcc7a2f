"""One trace from the request to every attempt, whatever becomes of messages and workers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engine import Engine
from interfaces.plans import StageDefinition
from interfaces.tracing import SpanKind, TraceContext
from repositories.telemetry.spans import OtelTracing
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C


class Traced:
    """A world whose engine makes spans, which stay in memory."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._exporter = InMemorySpanExporter()
        self.tracing = OtelTracing(Resource({}), [SimpleSpanProcessor(self._exporter)])
        world.engine = Engine(
            world.settings,
            world._database(),
            world.queues,
            world.guarded,
            world.job_types,
            world.task_types,
            tracing=self.tracing,
        )

    def submit(self, job_type: str, traceparent: str | None = CALLER, **parameters: Any) -> str:
        """As the HTTP API does, in the span of its request."""
        with self.tracing.span("POST", traceparent, {}, kind=SpanKind.SERVER):
            return self.world.submit(job_type, **parameters).job_id

    def spans(self, name: str = "") -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(name)]


@pytest.fixture
def traced(world: World) -> Traced:
    return Traced(world)


def _parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)


def _own(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def _told(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {})[f"orchestrator.{name}"]


def test_stages_are_below_the_request_and_attempts_below_their_stages(traced: Traced) -> None:
    tries: Counter[int] = Counter()

    def work(parameters: Any, context: Any) -> dict[str, int]:
        tries[context.task_index] += 1
        if tries[context.task_index] == 1:
            raise ValueError("refused: AccountKey=c2VjcmV0;")
        return {}

    stages = [StageDefinition("a", "work"), StageDefinition("b", "work")]
    traced.world.register(ScriptedJob("job", stages), task_type("work", work))
    job_id = traced.submit("job", n=2)
    assert traced.world.run(job_id)["status"] == "completed"

    spans = traced.spans()
    assert {span.context.trace_id for span in spans if span.context} == {TRACE_ID}
    [request] = traced.spans("POST")
    assert _parent(request) == 0xB7AD6B7169203331
    ended = traced.spans("stage")
    assert [(s.name, _told(s, "tasks"), _told(s, "outcome")) for s in ended] == [
        ("stage a", 2, "completed"),
        ("stage b", 2, "completed"),
    ]
    assert {_parent(span) for span in ended} == {_own(request)}
    attempts = traced.spans("task")
    by_stage = {_told(span, "stage"): _own(span) for span in ended}
    assert all(_parent(span) == by_stage[_told(span, "stage")] for span in attempts)
    outcomes = Counter((_told(s, "stage"), _told(s, "attempt"), _told(s, "outcome")) for s in attempts)
    assert outcomes == {(1, 1, "retry"): 2, (1, 2, "completed"): 2, (2, 1, "completed"): 2}
    failed = next(span for span in attempts if _told(span, "outcome") == "retry")
    assert not failed.status.is_ok
    assert "refused" in (failed.status.description or "")
    assert "c2VjcmV0" not in " ".join(span.to_json() for span in spans)
    assert {_told(span, "job_id") for span in attempts} == {job_id}
    # Which message led to it is a link, to a span of the same trace.
    messages = {_own(span) for span in traced.spans("process")}
    assert {link.context.span_id for span in attempts for link in span.links} <= messages
    assert {_parent(span) for span in traced.spans("plan")} == {_own(request)}


def test_a_lost_message_loses_nothing_of_the_trace(traced: Traced) -> None:
    traced.world.register(
        ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {})
    )
    job_id = traced.submit("job", n=3)
    traced.world.queues.queues[traced.world.settings.jobs_queue].clear()
    traced.world._admin.execute("UPDATE app.outbox SET redeliver_at = now() - interval '1 s'")
    assert traced.world.run(job_id)["status"] == "completed"
    attempts = traced.spans("task")
    assert len(attempts) == 3
    assert {span.context.trace_id for span in attempts if span.context} == {TRACE_ID}


def test_a_message_says_which_trace_it_is_of_and_one_that_does_not_is_understood(traced: Traced) -> None:
    world = traced.world
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    job_id = traced.submit("job")
    [message] = world.queues.queues[world.settings.jobs_queue]
    body = json.loads(message.body)
    [request] = traced.spans("POST")
    carried = TraceContext.parse(body.pop("traceparent"))
    assert carried is not None
    assert (int(carried.trace_id, 16), int(carried.span_id, 16)) == (TRACE_ID, _own(request))
    # As an earlier release wrote it, and as a stranger might.
    message.body = json.dumps(body)
    world.send(world.settings.jobs_queue, json.dumps({**body, "traceparent": "nonsense"}))
    assert world.run(job_id)["status"] == "completed"
    assert world.rows("SELECT * FROM app.poison_messages") == []
    assert len(traced.spans("task")) == 1


def test_a_run_from_before_the_upgrade_goes_on(traced: Traced) -> None:
    world = traced.world
    job_id = world.submit("hello_world", n=3).job_id
    assert world.job(job_id)["traceparent"] is None
    assert world.run(job_id)["status"] == "completed"
    assert traced.spans("stage") == []
    assert len(traced.spans("task")) == 6


def test_a_retry_is_of_the_trace_of_who_asked_for_it(traced: Traced) -> None:
    fails = [True]

    def work(parameters: Any, context: Any) -> dict[str, int]:
        if fails[0]:
            raise ValueError("not now")
        return {}

    traced.world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", work))
    job_id = traced.submit("job")
    assert traced.world.run(job_id)["status"] == "failed"
    fails[0] = False
    other = "00-" + "b" * 32 + "-" + "c" * 16 + "-01"
    with traced.tracing.span("POST", other, {}):
        traced.world.engine.retry(job_id, correlation_id="again")
    assert traced.world.run(job_id)["status"] == "completed"
    [first, second] = traced.spans("stage")
    assert first.context is not None
    assert second.context is not None
    assert (first.context.trace_id, second.context.trace_id) == (TRACE_ID, int("b" * 32, 16))
    assert first.status.description
    assert "not now" in first.status.description


def test_what_the_caller_does_not_record_is_not_recorded(traced: Traced) -> None:
    job_id = traced.submit("hello_world", CALLER[:-2] + "00", n=2)
    assert traced.world.run(job_id)["status"] == "completed"
    assert traced.spans() == []
    assert traced.world.job(job_id)["traceparent"].endswith("-00")


def test_without_a_collector_the_callers_trace_is_kept_all_the_same(world: World) -> None:
    from interfaces.tracing import NO_TRACING

    with NO_TRACING.span("POST", CALLER, {}):
        job_id = world.submit("hello_world", n=1).job_id
    assert world.job(job_id)["traceparent"] == CALLER
