"""The running app sends to a collector: one trace from the request to every task, metrics, and log lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from interfaces.signals import METRICS, Scope
from tests.doubles.collector import Collector, collecting
from tests.fix_app import App, MakeApp, until

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
HEADER_SECRET = "dG9wLXNlY3JldA"
TASKS = 30


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture
def app(make_app: MakeApp, collector: Collector) -> App:
    return make_app(
        "--workers",
        "2",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS=f"api-key={HEADER_SECRET}",
        OTEL_BSP_SCHEDULE_DELAY="200",
        OTEL_BLRP_SCHEDULE_DELAY="200",
        OTEL_METRIC_EXPORT_INTERVAL="300",
        LOG_FORMAT="json",
    )


def test_one_trace_leads_from_the_request_to_every_task(app: App, collector: Collector) -> None:
    answer = app.http.post(
        "/jobs/submit/hello_world",
        json={"n": TASKS, "message": "Hello", "name": "world"},
        headers={"traceparent": f"00-{TRACE_ID}-{CALLER}-01"},
    )
    job_id = answer.json()["job_id"]
    assert app.wait(job_id)["status"] == "completed"
    app.http.post(f"{app.url}/admin/functions/send_signals", json={"input": ""}).raise_for_status()

    def arrived(name: str) -> int:
        return sum(span.name.startswith(name) for span in collector.spans() if span.trace_id == TRACE_ID)

    until(
        lambda: arrived("task ") >= 2 * TASKS and arrived("stage ") >= 2, 10, lambda: str(collector.spans())
    )
    spans = [span for span in collector.spans() if span.trace_id == TRACE_ID]
    by_id = {span.span_id: span for span in spans}
    [request] = [span for span in spans if span.parent_id == CALLER]
    assert request.name == "POST /api/jobs/submit/{job_type}"
    assert request.attributes["http.response.status_code"] == 202
    # Every other span leads up to it.
    for span in spans:
        above = span
        while above.span_id != request.span_id:
            above = by_id[above.parent_id]
    attempts = [span for span in spans if span.name.startswith("task ")]
    assert {by_id[span.parent_id].name.split()[0] for span in attempts} == {"stage"}
    assert Counter(
        (span.attributes["orchestrator.stage"], span.attributes["orchestrator.outcome"]) for span in attempts
    ) == {(1, "completed"): TASKS, (2, "completed"): TASKS}
    assert {span.attributes["orchestrator.task_index"] for span in attempts} == set(range(TASKS))
    assert {span.attributes["orchestrator.job_id"] for span in attempts} == {job_id}

    until(lambda: any(trace == TRACE_ID for _, trace, _ in collector.lines()), 10)
    lines = [attributes for _, trace, attributes in collector.lines() if trace == TRACE_ID]
    assert {line["orchestrator.correlation_id"] for line in lines} == {TRACE_ID}
    declared = {metric.exposed: metric.scope for metric in METRICS}
    until(lambda: "orchestrator_task_attempts_total" in collector.metric_names("fleet"), 10)
    assert {declared[name] for name in collector.metric_names("fleet")} == {Scope.FLEET}
    assert "orchestrator_pool_requests_total" in collector.metric_names() - collector.metric_names("fleet")
    _check_that_nothing_tells_a_secret(app, collector)
    _check_the_hosts_log(app, job_id)


def _check_that_nothing_tells_a_secret(app: App, collector: Collector) -> None:
    key = next(part for part in app.storage.split(";") if part.startswith("AccountKey=")).partition("=")[2]
    password = urlsplit(app.database_url).password or key
    sent = b"".join(collector.bodies)
    logged = app.log.read_bytes()
    for secret in (key, password, HEADER_SECRET):
        assert secret.encode() not in sent
        assert secret.encode() not in logged


def _check_the_hosts_log(app: App, job_id: str) -> None:
    lines = [json.loads(line) for line in app.log.read_text().splitlines() if line.startswith("{")]
    about = [line for line in lines if line.get("job_id") == job_id]
    assert about
    assert {line["correlation_id"] for line in about} == {TRACE_ID}
    assert {"time", "level", "logger", "message", "stage", "trace_id"} <= about[-1].keys()
