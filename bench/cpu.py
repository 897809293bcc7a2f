"""CPU time of process trees, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """What one line of /proc/PID/stat says: parent, and seconds of CPU with those of children it reaped."""

    parent: int
    seconds: float


def parse_stat(line: str) -> Stat:
    """Read /proc/PID/stat; proc(5). The program's name may hold blanks and brackets."""
    fields = line.rpartition(")")[2].split()
    return Stat(parent=int(fields[1]), seconds=sum(int(field) for field in fields[11:15]) / _TICKS)


def tree_seconds(stats: Mapping[int, Stat], roots: Iterable[int]) -> float:
    """Seconds of CPU of these processes and all below them, also of those that have ended and were reaped."""
    children = defaultdict(list)
    for pid, stat in stats.items():
        children[stat.parent].append(pid)
    total, waiting, seen = 0.0, list(roots), set()
    while waiting:
        pid = waiting.pop()
        if pid in seen or pid not in stats:
            continue
        seen.add(pid)
        total += stats[pid].seconds
        waiting.extend(children[pid])
    return total


def cpu_seconds(groups: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Seconds of CPU of each named group of process trees so far."""
    stats = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stats[int(process.name)] = parse_stat((process / "stat").read_text())
    return {name: tree_seconds(stats, roots) for name, roots in groups.items()}
