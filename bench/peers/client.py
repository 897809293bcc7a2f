"""The client of a peer: takes one JSON command a line, answers one JSON line. Standard library alone."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

PAUSE_SECONDS = 0.5


class Peer(Protocol):
    """What the benchmark asks of a peer."""

    def run(self, n: int, jobs: int, seconds: float) -> bool:
        """Start `jobs` jobs of two stages of n tasks, wait for all; false when the time was over first."""

    def enqueue(self) -> None:
        """Enqueue one job; return once it is as durable as the peer makes it."""


def serve(peer: Peer) -> None:
    """Carry out commands until the input ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "run":
            began = time.perf_counter()
            finished = peer.run(command["n"], command["jobs"], command["seconds"])
            answer = {"finished": finished, "seconds": time.perf_counter() - began}
        else:
            answer = submission(peer.enqueue, command["one_by_one"], command["at_once"], command["threads"])
        print(json.dumps(answer), flush=True)


def submission(submit: Callable[[], object], one_by_one: int, at_once: int, threads: int) -> dict[str, float]:
    """Latency of single submissions with nothing else to do, then latency and rate of several threads."""
    alone = []
    for _ in range(one_by_one):
        # Until what the last one started has ended: its work is not the submission's.
        time.sleep(PAUSE_SECONDS)
        alone.append(_milliseconds(submit))
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        loaded = list(pool.map(lambda _: _milliseconds(submit), range(at_once)))
        seconds = time.perf_counter() - began
    return {
        "p50_ms": statistics.median(alone),
        "p95_ms": percentile(alone, 95),
        "loaded_p50_ms": statistics.median(loaded),
        "rate": at_once / seconds,
    }


def _milliseconds(submit: Callable[[], object]) -> float:
    began = time.perf_counter()
    submit()
    return (time.perf_counter() - began) * 1000


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]
