"""The polling algorithm of queue triggers.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#polling-algorithm
"""

from __future__ import annotations

from local.functions_host.backoff import RandomizedExponentialBackoff


def test_an_empty_queue_is_polled_ever_more_rarely_up_to_the_maximum() -> None:
    backoff = RandomizedExponentialBackoff(maximum=1.0)
    delays = [backoff.next_delay(found_message=False) for _ in range(8)]
    assert delays[0] == 0.1
    assert delays == sorted(delays)
    assert delays[-1] == 1.0


def test_increments_double_and_vary_by_a_fifth() -> None:
    for _ in range(50):
        backoff = RandomizedExponentialBackoff(maximum=60.0)
        delays = [backoff.next_delay(found_message=False) for _ in range(6)]
        for exponent, delay in enumerate(delays[1:]):
            increment = 0.1 * 2**exponent
            assert 0.1 + 0.8 * increment <= delay <= 0.1 + 1.2 * increment


def test_a_message_resets_the_delay_to_the_minimum_of_100_ms() -> None:
    backoff = RandomizedExponentialBackoff(maximum=1.0)
    for _ in range(8):
        backoff.next_delay(found_message=False)
    assert backoff.next_delay(found_message=True) == 0.1
    assert 0.18 <= backoff.next_delay(found_message=False) <= 0.22
