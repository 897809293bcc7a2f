"""What sends signals: in batches, from threads of its own; what waits is bounded, and dropped beyond."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Sequence
from time import monotonic, time_ns
from uuid import uuid4

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from interfaces.settings import Settings
from interfaces.signals import Family

from .exporters import Drops, destinations
from .logs import OtelHandler
from .metrics import metrics_data
from .service import Families, Telemetry, Told
from .spans import OtelTracing

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
"""A process that ends waits no longer for its collectors."""
FLEET = "fleet"
"""Instance of which the metrics are that all processes share, whichever sends them."""


class Pipeline(Telemetry):
    """Exporters, and what feeds them. Size and pace of batches are OTEL_BSP_* and OTEL_BLRP_*."""

    on = True

    def __init__(self, settings: Settings) -> None:
        # What exporters say of each failure is said once, by ours.
        for name in ("opentelemetry", "azure.monitor.opentelemetry"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._began = time_ns()
        self._drops = Drops()
        self._destinations = destinations(settings, self._drops)
        self._resource = _resource(f"{os.getpid()}-{uuid4().hex[:8]}")
        self._fleet = _resource(FLEET)
        self._spans = [BatchSpanProcessor(one.spans) for one in self._destinations]
        self.tracing = OtelTracing(self._resource, self._spans)
        self._sends_logs = settings.telemetry_logs
        self._logs = [BatchLogRecordProcessor(one.logs) for one in self._destinations if self._sends_logs]
        self._ending = threading.Event()
        self._source: Families | None = None
        atexit.register(self.close)

    def send(self, families: Sequence[Family]) -> None:
        """Send metrics of the fleet, now."""
        self._send(families, self._fleet, 0)

    def repeat(self, families: Families) -> None:
        """Send this process's metrics from now on."""
        self._source = families
        threading.Thread(target=self._send_by_the_clock, name="signals", daemon=True).start()

    def log_handler(self, told: Told) -> logging.Handler | None:
        """What sends log lines."""
        if not self._sends_logs:
            return None
        provider = LoggerProvider(resource=self._resource, shutdown_on_exit=False)
        for processor in self._logs:
            provider.add_log_record_processor(processor)
        return OtelHandler(provider, told, self.close)

    def dropped(self) -> dict[str, int]:
        """Exports that failed, by signal."""
        return self._drops.counts()

    def close(self) -> None:
        """Send what is left. Once; from then on nothing is sent."""
        if self._ending.is_set():
            return
        self._ending.set()
        work: list[Callable[[], object]] = [processor.shutdown for processor in self._spans]
        work += [processor.shutdown for processor in self._logs]
        if self._source is not None:
            work.append(self._send_own)
        # Daemons: a collector that does not answer is left behind when the time is over.
        threads = [threading.Thread(target=call, daemon=True) for call in work]
        for thread in threads:
            thread.start()
        end = monotonic() + CLOSE_SECONDS
        for thread in threads:
            thread.join(max(end - monotonic(), 0.0))

    def _send_by_the_clock(self) -> None:
        seconds = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or 60_000) / 1000
        while not self._ending.wait(seconds):
            self._send_own()

    def _send_own(self) -> None:
        if self._source is None:
            return
        try:
            self._send(self._source(), self._resource, self._began)
        except Exception as error:  # noqa: BLE001 - this thread must live
            logger.warning("metrics of this process not made: %s", type(error).__name__)

    def _send(self, families: Sequence[Family], resource: Resource, began: int) -> None:
        data = metrics_data(families, resource, began)
        for destination in self._destinations:
            destination.send(data)


def _resource(instance: str) -> Resource:
    """Who sends, with what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say."""
    named = os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("WEBSITE_SITE_NAME")
    known = {"service.instance.id": instance}
    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or named:
        known["service.name"] = named or "geospatial-orchestrator"
    return Resource.create(known)
