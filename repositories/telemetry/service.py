"""Whether signals are sent anywhere. Imports nothing of OpenTelemetry where they are not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from interfaces.settings import Settings
from interfaces.signals import Family
from interfaces.tracing import NO_TRACING, Tracing, Value

logger = logging.getLogger(__name__)

Told = Callable[[logging.LogRecord], tuple[str, Mapping[str, Value]]]
"""A log record as text without secrets, and what else is known of it."""
Families = Callable[[], Sequence[Family]]


class Telemetry(Protocol):
    """Sends signals to their collectors. Only `send` and `close` wait for one."""

    on: bool
    tracing: Tracing

    def send(self, families: Sequence[Family]) -> None:
        """Send metrics of the fleet, now; for whoever has the time."""
        ...

    def repeat(self, families: Families) -> None:
        """Send this process's metrics from now on, once in `OTEL_METRIC_EXPORT_INTERVAL`."""
        ...

    def log_handler(self, told: Told) -> logging.Handler | None:
        """What sends log lines; None where none are to be sent."""
        ...

    def dropped(self) -> dict[str, int]:
        """Exports that failed, by signal."""
        ...

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        ...


class NoTelemetry(Telemetry):
    """No collector is configured."""

    on = False
    tracing = NO_TRACING

    def send(self, families: Sequence[Family]) -> None:
        """Nothing."""

    def repeat(self, families: Families) -> None:
        """Nothing."""

    def log_handler(self, told: Told) -> logging.Handler | None:  # noqa: ARG002
        """None."""
        return None

    def dropped(self) -> dict[str, int]:
        """Nothing was."""
        return {}

    def close(self) -> None:
        """Nothing."""


def telemetry(settings: Settings) -> Telemetry:
    """What the settings ask for; call once per process."""
    if not settings.sends_signals:
        return NoTelemetry()
    from .pipeline import Pipeline

    try:
        return Pipeline(settings)
    except ValueError as error:
        # What it quotes may be the connection string. The app's work does not depend on signals.
        logger.error("no signals are sent: their settings are refused (%s)", type(error).__name__)
        return NoTelemetry()
