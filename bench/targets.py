"""The targets, as ratios within one run: what was aimed at, what was measured, met or missed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OURS = "ours"
OURS_POLLING = "ours, 100 ms polling"
PEERS = ("dbos", "procrastinate", "celery")
DURABLE_PEERS = ("dbos", "procrastinate")
"""Their enqueue returns after a commit to disk; Celery's Redis syncs once a second."""


@dataclass(frozen=True)
class Verdict:
    """One target. `value` is None where it was not measured."""

    target: str
    aim: str
    value: float | None
    met: bool | None
    note: str = ""


def verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    """Every target against these results."""
    found = [_speed(results, n) for n in (1_000, 10_000)]
    found.append(_latency(results))
    cost = (cpu_per_task(results, OURS, 100_000), cpu_per_task(results, OURS, 1_000))
    found.append(_at_most("CPU per task, n = 100,000 : 1,000", 1.2, _ratio(*cost), _pair(cost, "ms")))
    wall = (seconds_per_task(results, OURS, 100_000), seconds_per_task(results, OURS, 1_000))
    found.append(_at_most("wall per task, n = 100,000 : 1,000", 1.2, _ratio(*wall)))
    for floor in results.get("floor", []):
        ratio = floor["ours"] / (floor["sql"] + floor["queue"])
        note = f"{floor['ours']:.2f} s : SQL {floor['sql']:.2f} s + queue {floor['queue']:.2f} s"
        found.append(_at_most(f"time : floor, n = {floor['n']:,}", 2.0, ratio, note))
    transactions = results.get("transactions") or {"n": 1_000, "per_task": {}}
    value = transactions["per_task"].get(OURS)
    found.append(_at_most(f"transactions per task, n = {transactions['n']:,}", 0.2, value))
    found.append(_submission(results.get("submission") or {}))
    return found + _raster_verdicts(results) + _search_verdicts(results) + _vector_verdicts(results)


def _vector_verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    """The targets of loads into PostGIS."""
    one = results.get("vectors")
    if not one:
        return []
    what, found = f"{one['polygons']:,} polygons", []
    for workers, most in (("one_worker", 1.0), ("two_workers", 0.65)):
        name = f"{what}, {workers.replace('_', ' ')} : ogr2ogr"
        note = f"{one[workers]:.1f} s : {one['ogr2ogr']:.1f} s"
        found.append(_at_most(name, most, one[workers] / one["ogr2ogr"], note))
    memory = f"peak memory of a worker, MiB : 512, {what}"
    return [*found, _at_most(memory, 1.0, one["peak_mib"] / 512, f"{one['peak_mib']:.0f} MiB")]


def _search_verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    """The target of searches of the STAC API."""
    one = results.get("searches")
    if not one:
        return []
    framework = one["application"]["p95"] + one["host"]["p95"]
    note = f"{one['api']['p95']:.1f} ms : SQL {one['sql']['p95']:.1f} ms + framework {framework:.1f} ms"
    name = f"p95 of a STAC search : pgstac.search + framework, {one['items']:,} items"
    return [_at_most(name, 1.15, one["api"]["p95"] / (one["sql"]["p95"] + framework), note)]


def _raster_verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    """The targets of conversions to COGs, and of the catalog that they fill."""
    found = []
    if one := results.get("conversion"):
        for way, name in (("ours", "conversion"), ("ours_with_checks", "conversion with all checks")):
            best = min(one["gdal"], one["rio_cogeo"])
            note = f"{one[way]:.2f} s : {one['gdal']:.2f} s (rio cogeo create {one['rio_cogeo']:.2f} s)"
            found.append(_at_most(f"{name} : bare GDAL, one file", 1.1, one[way] / best, note))
    if one := results.get("small_rasters"):
        note = f"{one['ours']:.1f} s : {one['gdal']:.1f} s"
        name = f"{one['rasters']:,} small rasters : sum of bare GDAL"
        found.append(_at_most(name, 1.25, one["ours"] / one["gdal"], note))
    if one := results.get("chunked"):
        note = f"{one['two_workers']:.1f} s : {one['one_worker']:.1f} s, {one['tiles']} tiles"
        name = f"{one['gigapixels']:.1f} gigapixels in tiles, two workers : one"
        found.append(_at_most(name, 0.65, one["two_workers"] / one["one_worker"], note))
    for one in results.get("catalog", []):
        note = f"{one['items'] / one['ours_load']:,.0f} : {one['items'] / one['pypgstac']:,.0f} items/s"
        name = f"load items : pypgstac load, partition by {one['partition_by']}"
        value = one["pypgstac"] / one["ours_load"]
        found.append(Verdict(name, "≥ 0.8", value, value >= 0.8, note))
    return found


def median_seconds(results: Mapping[str, Any], side: str, n: int) -> float | None:
    """The median wall time of a side at one size."""
    runs = results["throughput"]["runs"].get(side, {}).get(str(n))
    return statistics.median(float(run["seconds"]) for run in runs) if runs else None


def tasks_per_second(results: Mapping[str, Any], side: str, n: int) -> float | None:
    """Tasks of both stages a second, by the median."""
    seconds = median_seconds(results, side, n)
    return None if seconds is None else 2 * n / seconds


def seconds_per_task(results: Mapping[str, Any], side: str, n: int) -> float | None:
    """Wall time for each task of both stages."""
    seconds = median_seconds(results, side, n)
    return None if seconds is None else seconds / (2 * n)


def cpu_per_task(results: Mapping[str, Any], side: str, n: int) -> float | None:
    """Milliseconds of CPU for each task, of workers and database (for Celery: and Redis)."""
    runs = results["throughput"]["runs"].get(side, {}).get(str(n))
    if not runs:
        return None
    used = [sum(seconds for group, seconds in run["cpu"].items() if group != "azurite") for run in runs]
    return float(1000 * statistics.median(used) / (2 * n))


def best_peer(results: Mapping[str, Any], n: int) -> tuple[str, float, int] | None:
    """The fastest peer, its tasks a second, and the n of that: the largest up to `n` that it finished."""
    rates = []
    for peer in PEERS:
        finished = [int(size) for size in results["throughput"]["runs"].get(peer, {}) if int(size) <= n]
        if finished and (rate := tasks_per_second(results, peer, max(finished))):
            rates.append((peer, rate, max(finished)))
    return max(rates, key=lambda one: one[1], default=None)


def _speed(results: Mapping[str, Any], n: int) -> Verdict:
    name, ours, best = (
        f"tasks/s : best peer, n = {n:,}",
        tasks_per_second(results, OURS, n),
        best_peer(results, n),
    )
    if ours is None or best is None:
        return Verdict(name, "≥ 10", None, None)
    peer, rate, size = best
    note = f"{ours:.0f} : {rate:.0f} ({peer}{'' if size == n else f', n = {size:,}'})"
    return Verdict(name, "≥ 10", ours / rate, ours / rate >= 10, note)


def _latency(results: Mapping[str, Any]) -> Verdict:
    peers = {peer: seconds for peer in PEERS if (seconds := median_seconds(results, peer, 30))}
    ours = median_seconds(results, OURS_POLLING, 30)
    best = min(peers, key=lambda peer: peers[peer], default=None)
    note = "" if best is None or ours is None else f"{ours:.2f} s : {peers[best]:.2f} s ({best})"
    return _at_most(
        "time : best peer, n = 30, 100 ms polling", 2.0, _ratio(ours, peers.get(best or "")), note
    )


def _submission(found: Mapping[str, Any]) -> Verdict:
    name = "submit over HTTP : best durable enqueue, p50"
    durable = {peer: found[peer]["p50_ms"] for peer in DURABLE_PEERS if peer in found}
    if OURS not in found or not durable:
        return Verdict(name, "≤ 3", None, None)
    best = min(durable, key=lambda peer: durable[peer])
    ours = found[OURS]["p50_ms"]
    return _at_most(name, 3.0, ours / durable[best], f"{ours:.1f} ms : {durable[best]:.1f} ms ({best})")


def _at_most(target: str, most: float, value: float | None, note: str = "") -> Verdict:
    return Verdict(target, f"≤ {most:g}", value, None if value is None else value <= most, note)


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def _pair(values: tuple[float | None, float | None], unit: str) -> str:
    return " : ".join("–" if value is None else f"{value:.2f} {unit}" for value in values)
