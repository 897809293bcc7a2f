"""The collectors that signals go to: one that speaks OTLP, Application Insights, or both.

An export that fails is counted and forgotten: signals are lost then, and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from interfaces.settings import Settings

logger = logging.getLogger(__name__)

EXPORT_SECONDS = 10.0
"""What one export of metrics may take."""


class Drops:
    """Exports that failed, by signal. Any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = {"traces": 0, "metrics": 0, "logs": 0}
        self._failing: set[str] = set()

    def counts(self) -> dict[str, int]:
        """So far."""
        with self._lock:
            return dict(self._counts)

    def note(self, signal: str, succeeded: bool) -> None:
        """Count a failure; the first after a success is told in the log, and so is the next success."""
        with self._lock:
            changed = succeeded == (signal in self._failing)
            self._counts[signal] += not succeeded
            (self._failing.discard if succeeded else self._failing.add)(signal)
        if changed and succeeded:
            logger.info("%s are sent again", signal)
        elif changed:
            logger.warning("%s cannot be sent, and are lost until their collector answers", signal)


class CountedSpans(SpanExporter):
    """Exports through another exporter."""

    def __init__(self, exporter: SpanExporter, drops: Drops) -> None:
        self._exporter = exporter
        self._drops = drops

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the exporter does."""
        result = self._exporter.export(spans)
        self._drops.note("traces", result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """As the exporter does."""
        self._exporter.shutdown()


class CountedLogs(LogRecordExporter):
    """Exports through another exporter."""

    def __init__(self, exporter: LogRecordExporter, drops: Drops) -> None:
        self._exporter = exporter
        self._drops = drops

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """As the exporter does."""
        result = self._exporter.export(batch)
        self._drops.note("logs", result is LogRecordExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - it keeps nothing
        """Nothing is kept here."""
        return True

    def shutdown(self) -> None:
        """As the exporter does."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Destination:
    """One collector's exporters."""

    spans: SpanExporter
    logs: LogRecordExporter
    metrics: MetricExporter
    drops: Drops

    def send(self, data: MetricsData) -> None:
        """Export metrics, now."""
        try:
            result = self.metrics.export(data, timeout_millis=EXPORT_SECONDS * 1000)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, only signals may be lost
            logger.debug("metrics not sent: %s", type(error).__name__)
            result = MetricExportResult.FAILURE
        self.drops.note("metrics", result is MetricExportResult.SUCCESS)


def destinations(settings: Settings, drops: Drops) -> list[Destination]:
    """Where the settings say that signals go."""
    made: list[Destination] = []
    for configured, make in (
        (settings.otel_exporter_otlp_endpoint, _otlp),
        (settings.applicationinsights_connection_string.get_secret_value(), _application_insights),
    ):
        if configured:
            spans, logs, metrics = make(configured)
            made.append(Destination(CountedSpans(spans, drops), CountedLogs(logs, drops), metrics, drops))
    return made


Exporters = tuple[SpanExporter, LogRecordExporter, MetricExporter]


def _otlp(endpoint: str) -> Exporters:
    """OTLP over HTTP, in protobuf. Headers, certificates and time limits are OTEL_EXPORTER_OTLP_*.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def url(signal: str) -> str:
        own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        return own or f"{endpoint.rstrip('/')}/v1/{signal}"

    return (
        OTLPSpanExporter(endpoint=url("traces")),
        OTLPLogExporter(endpoint=url("logs")),
        OTLPMetricExporter(endpoint=url("metrics")),
    )


def _application_insights(connection_string: str) -> Exporters:
    """The exporters of azure-monitor-opentelemetry, without what it instruments (docs/adr/0017)."""
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    def made(exporter: Callable[..., Any]) -> Any:
        # What cannot be sent is dropped: nothing may fill a disk that tasks need.
        return exporter(connection_string=connection_string, disable_offline_storage=True)

    return made(AzureMonitorTraceExporter), made(AzureMonitorLogExporter), made(AzureMonitorMetricExporter)
