"""The delay between polls of an empty queue.

The documented algorithm is a random exponential back-off: a message resets it, polls that find none lengthen
it up to `maxPollingInterval`
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#polling-algorithm).
The figures are those of the WebJobs SDK's `RandomizedExponentialBackoffStrategy`: at least 100 ms, increments
of 100 ms doubled each time, each varied by up to 20 %.
"""

from __future__ import annotations

import random

MINIMUM_INTERVAL = 0.1
_RANDOMIZATION = 0.2


class RandomizedExponentialBackoff:
    """Delays in seconds, from `minimum` to `maximum`."""

    def __init__(self, maximum: float, minimum: float = MINIMUM_INTERVAL) -> None:
        self._minimum = minimum
        self._maximum = max(minimum, maximum)
        self._current = 0.0
        self._exponent = 0

    def next_delay(self, *, found_message: bool) -> float:
        """Return the next delay; `found_message` tells whether any was found since the last one."""
        if found_message:
            self._current = self._minimum
            self._exponent = 1
        elif self._current != self._maximum:
            delay = self._minimum
            if self._exponent > 0:
                factor = random.uniform(1 - _RANDOMIZATION, 1 + _RANDOMIZATION)
                delay += factor * 2 ** (self._exponent - 1) * self._minimum
            if delay < self._maximum:
                self._current = delay
                self._exponent += 1
            else:
                self._current = self._maximum
        return self._current
