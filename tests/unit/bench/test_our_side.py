"""host.json for the benchmark, and the percentile of latencies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bench.our_side import timespan, with_polling
from bench.peers.client import percentile
from local.functions_host.timespan import parse_timespan


@pytest.mark.parametrize("seconds", [0.1, 1, 2.5, 61, 3661.25])
def test_the_host_reads_a_timespan_as_it_was_meant(seconds: float) -> None:
    assert parse_timespan(timespan(seconds)) == timedelta(seconds=seconds)


def test_only_the_polling_interval_is_changed() -> None:
    shipped = {
        "version": "2.0",
        "extensions": {"queues": {"batchSize": 16, "maxPollingInterval": "00:00:02"}},
    }
    changed = with_polling(shipped, 0.1)
    queues = {"batchSize": 16, "maxPollingInterval": "00:00:00.1000000"}
    assert changed == {"version": "2.0", "extensions": {"queues": queues}}
    assert with_polling(shipped, None) is shipped


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([5, 1, 4, 2, 3], 95) == 5
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile([7], 95) == 7
