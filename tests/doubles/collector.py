"""A collector on this machine: takes OTLP over HTTP, or what Application Insights takes, and keeps it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local.stack.ports import LOOPBACK


@dataclass(frozen=True)
class ToldSpan:
    """A span as it arrived, ids in hex."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    failed: bool
    seconds: float
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What arrived so far, by signal."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    """What arrived as Application Insights has it."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def take(self, path: str, body: bytes) -> bool:
        self.bodies.append(body)
        if path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        elif path == "/v1/logs":
            self.logs.append(ExportLogsServiceRequest.FromString(body))
        elif path == "/v2.1/track":
            self.envelopes += (
                [json.loads(line) for line in body.splitlines()] if body[:1] == b"{" else json.loads(body)
            )
        else:
            return False
        return True

    def spans(self) -> list[ToldSpan]:
        return [
            ToldSpan(
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                links=tuple(link.span_id.hex() for link in span.links),
                failed=span.status.code == 2,
                seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                attributes=_attributes(span.attributes),
            )
            for request in list(self.traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def lines(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Text, trace id and attributes of each log line."""
        return [
            (line.body.string_value, line.trace_id.hex(), _attributes(line.attributes))
            for request in list(self.logs)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for line in scope.log_records
        ]

    def metric_names(self, instance: str | None = None) -> set[str]:
        """Names of metrics, of one instance or of all."""
        return {
            metric.name
            for request in list(self.metrics)
            for resource in request.resource_metrics
            if instance in (None, _attributes(resource.resource.attributes)["service.instance.id"])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port, until the block ends."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            known = collector.take(self.path, body)
            count = len(collector.envelopes)
            answer = b""
            if self.path == "/v2.1/track":
                answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
