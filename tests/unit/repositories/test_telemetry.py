"""A collector that does not answer costs signals, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.resources import Resource
from pydantic import SecretStr

from interfaces.settings import Settings
from interfaces.signals import ATTEMPTS, BREAKER, METRICS, TASK_DURATION, Distribution, Family, Kind, Sample
from local.stack.ports import LOOPBACK, free_ports
from repositories.telemetry import pipeline
from repositories.telemetry.metrics import metrics_data
from repositories.telemetry.pipeline import Pipeline
from repositories.telemetry.service import NoTelemetry, telemetry
from tests.doubles.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


def gauge(value: float) -> Family:
    return Family(BREAKER, [Sample({"worker": "w", "dependency": "blob"}, value)])


def test_without_a_collector_nothing_is_made() -> None:
    made = telemetry(Settings(otel_exporter_otlp_endpoint=""))
    assert isinstance(made, NoTelemetry)
    assert not made.on
    assert made.log_handler(lambda record: ("", {})) is None
    assert isinstance(
        telemetry(Settings(otel_exporter_otlp_endpoint="http://x", otel_sdk_disabled=True)), NoTelemetry
    )


def test_settings_that_are_refused_cost_signals_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED", "true")
    key = "InstrumentationKey=not-a-key"
    made = telemetry(Settings(applicationinsights_connection_string=SecretStr(key)))
    assert isinstance(made, NoTelemetry)
    assert "no signals are sent" in caplog.text
    assert "not-a-key" not in caplog.text


def test_work_does_not_wait_for_a_collector_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CLOSE_SECONDS", 0.3)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    [port] = free_ports(1)
    made = Pipeline(Settings(otel_exporter_otlp_endpoint=f"http://{LOOPBACK}:{port}"))
    began = time.monotonic()
    for n in range(500):
        with made.tracing.span("work", None, {"n": n}) as span:
            span.set({"outcome": "completed"})
    assert time.monotonic() - began < 1
    began = time.monotonic()
    made.close()
    made.close()
    assert time.monotonic() - began < 1


def test_what_is_left_is_sent_at_the_end(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    made = Pipeline(Settings(otel_exporter_otlp_endpoint=collector.url))
    made.repeat(lambda: [gauge(1.0)])
    with made.tracing.span("work", None, {}):
        pass
    made.close()
    assert [span.name for span in collector.spans()] == ["work"]
    assert collector.metric_names() == {"orchestrator_breaker_open"}
    assert made.dropped() == {"traces": 0, "metrics": 0, "logs": 0}


def test_what_cannot_be_sent_is_counted(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Pipeline(Settings(otel_exporter_otlp_endpoint=f"{collector.url}/not/here"))
    made.send([gauge(1.0)])
    made.close()
    assert made.dropped()["metrics"] == 1


def test_an_exception_names_its_type_and_quotes_nothing(collector: Collector) -> None:
    made = Pipeline(Settings(otel_exporter_otlp_endpoint=collector.url))
    with pytest.raises(ValueError, match="secret"), made.tracing.span("work", None, {}):
        raise ValueError("a secret")
    made.close()
    assert [span.failed for span in collector.spans()] == [True]
    assert b"a secret" not in b"".join(collector.bodies)


def test_application_insights_gets_spans_metrics_and_log_lines(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but the collector is to be asked.
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED", "true")
    key = "00000000-0000-0000-0000-000000000001"
    connection = f"InstrumentationKey={key};IngestionEndpoint={collector.url}/"
    made = Pipeline(Settings(applicationinsights_connection_string=SecretStr(connection)))
    handler = made.log_handler(lambda record: (record.getMessage(), {"orchestrator.job_id": "j"}))
    assert handler is not None
    lasted = Family(
        TASK_DURATION, [Sample({"task_type": "t", "outcome": "failed"}, Distribution((1.0,), (3, 2), 20.0))]
    )
    made.send([gauge(1.0), lasted])
    with made.tracing.span(
        "task t", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", {"orchestrator.task_index": 7}
    ):
        handler.emit(logging.LogRecord("engine", logging.WARNING, "x.py", 1, "it failed", (), None))
    made.close()
    told = {envelope["name"].rpartition(".")[2]: envelope for envelope in collector.envelopes}
    assert set(told) == {"Metric", "RemoteDependency", "Message"}
    names = [
        metric["name"]
        for envelope in collector.envelopes
        if envelope["name"].endswith("Metric")
        for metric in envelope["data"]["baseData"]["metrics"]
    ]
    assert names == ["orchestrator_breaker_open", "orchestrator_task_duration_seconds"]
    span, line = told["RemoteDependency"], told["Message"]
    assert span["data"]["baseData"]["properties"]["orchestrator.task_index"] in (7, "7")
    assert span["tags"]["ai.operation.id"] == line["tags"]["ai.operation.id"] == "a" * 32
    assert line["data"]["baseData"]["message"] == "it failed"
    assert made.dropped() == {"traces": 0, "metrics": 0, "logs": 0}


def test_metrics_are_the_same_by_either_way() -> None:
    lasted = Distribution((1.0, 5.0), (3, 2, 1), 20.0)
    families = [
        Family(ATTEMPTS, [Sample({"task_type": "t", "outcome": "failed"}, 4.0)]),
        Family(TASK_DURATION, [Sample({"task_type": "t", "outcome": "failed"}, lasted)]),
        Family(BREAKER, []),
    ]
    [resource] = metrics_data(families, Resource({}), 0).resource_metrics
    attempts, durations = resource.scope_metrics[0].metrics
    assert (attempts.name, attempts.unit) == ("orchestrator_task_attempts_total", "{attempt}")
    [counted], [point] = attempts.data.data_points, durations.data.data_points
    assert isinstance(counted, NumberDataPoint)
    assert counted.value == 4
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.sum, list(point.bucket_counts)) == (6, 20.0, [3, 2, 1])
    assert {metric.kind for metric in METRICS} == set(Kind)
