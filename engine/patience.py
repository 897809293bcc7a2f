"""How long to try again what the database did not take: as long as a lease may last."""

from __future__ import annotations

import tenacity

from interfaces.errors import ServiceUnavailable
from interfaces.settings import Settings


def patient(settings: Settings, tries: int | None = None) -> tenacity.Retrying:
    """Calls again what raises `ServiceUnavailable`, so often or for the length of a lease; then raises it."""
    patience = tenacity.stop_after_delay(settings.lease_seconds)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ServiceUnavailable),
        stop=patience if tries is None else tenacity.stop_after_attempt(tries),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
