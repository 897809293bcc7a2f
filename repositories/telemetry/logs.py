"""Log lines by OpenTelemetry, each in the span that it was written in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time_ns

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LoggerProvider

from .service import Told

OWN = ("opentelemetry", "azure", "urllib3", "requests", "repositories.telemetry")
"""Loggers of what sends: what they say of an export must not become another one."""
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)


class OtelHandler(logging.Handler):
    """Hands log lines to processors that send them from their own threads; `told` takes out secrets."""

    def __init__(self, provider: LoggerProvider, told: Told, close: Callable[[], None]) -> None:
        super().__init__(logging.INFO)
        self._provider = provider
        self._told = told
        self._close = close

    def emit(self, record: logging.LogRecord) -> None:
        """Send it, unless it is about sending."""
        if record.name.split(".")[0] in OWN or record.name.startswith(OWN[-1]):
            return
        try:
            text, attributes = self._told(record)
            self._provider.get_logger(record.name).emit(
                LogRecord(
                    timestamp=int(record.created * 1e9),
                    observed_timestamp=time_ns(),
                    context=get_current(),
                    severity_text=record.levelname,
                    severity_number=_severity(record.levelno),
                    body=text,
                    attributes=dict(attributes),
                )
            )
        except Exception:  # noqa: BLE001 - as every handler of the library: logging never raises
            self.handleError(record)

    def close(self) -> None:
        """At the end of the process (`logging.shutdown`): send what is left."""
        self._close()
        super().close()


def _severity(level: int) -> SeverityNumber:
    return next((severity for least, severity in _SEVERITIES if level >= least), SeverityNumber.DEBUG)
