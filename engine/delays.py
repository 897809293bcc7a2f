"""How long what failed waits before it is tried again."""

from __future__ import annotations

import math
import random

from interfaces.workflows import RetryPolicy


def backoff(policy: RetryPolicy, attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt`: exponential with full jitter.

    Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    doubled = policy.base_delay.total_seconds() * 2.0 ** min(attempt - 1, 100)
    ceiling = min(policy.max_delay.total_seconds(), doubled)
    return random.uniform(0, ceiling)


def deferral(retry_after: float, pause: float, spread: float) -> float:
    """Whole seconds to put a task off that waits for a dependency which is not called for `retry_after` s.

    `spread`, in 0…1, is drawn once for a batch, so that a stage does not come back all at once, but what
    travelled together does so again.
    """
    return float(math.ceil(retry_after + spread * pause / 2))
