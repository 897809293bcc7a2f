"""The table that a person reads: results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .targets import OURS, OURS_POLLING, PEERS, cpu_per_task, median_seconds, tasks_per_second, verdicts

SIDES = (OURS, OURS_POLLING, *PEERS)


def report(results: Mapping[str, Any]) -> str:
    """Everything that was measured, and the targets."""
    parts = [
        *_machine(results),
        *_throughput(results),
        *_experiments(results),
        "## Targets",
        _targets(results),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(results: Mapping[str, Any]) -> list[str]:
    if "machine" not in results:
        return []
    machine, sizes = results["machine"], results["sizes"]
    again = "".join(
        f" Again at {one['measured_at']}, commit {one['commit']}, load {one['load_before']:.1f}: {name}."
        for name, one in results.get("again", {}).items()
    )
    return [
        f"Measured at {machine['measured_at']}, commit {machine['commit']}, {machine['cores']} cores, "
        f"Python {machine['python']}, load {machine['load_before']:.1f} before. Medians of "
        f"{sizes['rounds']} rounds in the comparison and {sizes['floor_rounds']} of the floor; "
        f"the others ran once. Longest run {sizes['limit']:.0f} s.{again}"
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of even width; the first is text, the others are numbers."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cells[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |"

    rules = ("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths))
    return "\n".join([line(header), f"|{'|'.join(rules)}|", *(line(row) for row in rows)])


def _throughput(results: Mapping[str, Any]) -> list[str]:
    found = results["throughput"]
    if not found["runs"]:
        return []
    sizes = sorted({int(n) for runs in found["runs"].values() for n in runs})
    rows = []
    for side in SIDES:
        if side not in found["runs"]:
            continue
        for label, value, form in (
            ("tasks/s", tasks_per_second, "{:,.0f}"),
            ("seconds", median_seconds, "{:.2f}"),
            ("CPU ms per task", cpu_per_task, "{:.2f}"),
        ):
            cells = [_cell(value(results, side, n), form, n, found["given_up"].get(side, [])) for n in sizes]
            rows.append([f"{side}: {label}", *cells])
    header = ["", *(f"n = {n:,}" for n in sizes)]
    return ["## Two stages of n no-op tasks", table(header, rows)]


def _cell(value: float | None, form: str, n: int, given_up: Sequence[int]) -> str:
    if value is not None:
        return form.format(value)
    return "too slow" if any(n >= size for size in given_up) else "–"


def _experiments(results: Mapping[str, Any]) -> list[str]:
    parts = []
    if found := results.get("transactions"):
        rows = [[side, f"{value:.2f}"] for side, value in found["per_task"].items()]
        parts += ["## Transactions", table([f"per task, n = {found['n']:,}", "commits"], rows)]
    if found := results.get("submission"):
        rows = [
            [side, *(f"{one[key]:,.1f}" for key in ("p50_ms", "p95_ms", "loaded_p50_ms", "rate"))]
            for side, one in found.items()
        ]
        parts += ["## Submission", table(["", "p50 ms", "p95 ms", "8 threads: p50 ms", "a second"], rows)]
    if found := results.get("burst"):
        tasks = 2 * found["jobs"] * found["tasks_of_each_stage"]
        rows = [
            [side, *(("too slow", "–") if value is None else (f"{value:.1f}", f"{tasks / value:,.0f}"))]
            for side, value in found["seconds"].items()
        ]
        title = f"## {found['jobs']} jobs of 2 × {found['tasks_of_each_stage']} tasks at once"
        parts += [title, table(["", "seconds", "tasks/s"], rows)]
    if found := results.get("floor"):
        rows = [
            [f"{one['n']:,}", str(one["messages"]), *(f"{one[key]:.2f}" for key in ("ours", "sql", "queue"))]
            for one in found
        ]
        header = ["n", "task messages", "ours, s", "plain SQL, s", "plain queue, s"]
        parts += ["## The floor", table(header, rows)]
    if found := results.get("scaling"):
        rows = [
            [workers, f"{one['no_op_tasks_per_second']:,.0f}", f"{one['waiting_tasks_per_second']:,.0f}"]
            for workers, one in found["workers"].items()
        ]
        header = [
            "workers",
            f"no-op, n = {found['n']:,}, tasks/s",
            f"waiting 0.1 s, n = {found['waiting_n']:,}, tasks/s",
        ]
        parts += ["## From one worker to two", table(header, rows)]
    return parts + _containers(results)


def _containers(results: Mapping[str, Any]) -> list[str]:
    parts = []
    if found := results.get("listing"):
        ways = ("bare_sdk", "summarize_container", "list_container")
        rows = [[way, f"{found[way]:.2f}", f"{found['blobs'] / found[way]:,.0f}"] for way in ways]
        parts += [f"## A container of {found['blobs']:,} blobs", table(["", "seconds", "blobs/s"], rows)]
    if found := results.get("cogs"):
        rows = [
            [way, f"{found[way]:.2f}", f"{found['cogs'] / found[way]:,.0f}"]
            for way in ("range_reads", "whole_downloads")
        ]
        title = f"## Metadata of {found['cogs']:,} COGs of {found['megabytes_each']:.1f} MB"
        parts += [title, table(["", "seconds", "COGs/s"], rows)]
    return parts + _rasters(results) + _searches(results) + _vectors(results)


def _vectors(results: Mapping[str, Any]) -> list[str]:
    found = results.get("vectors")
    if not found:
        return []
    ways = [way for way in ("ogr2ogr", "fetched_ogr2ogr", "one_worker", "two_workers") if way in found]
    cpu = found.get("cpu", {})
    rows = [
        [
            way,
            f"{found[way]:.1f}",
            f"{found['polygons'] / found[way]:,.0f}",
            f"{cpu[way]:.1f}" if cpu else "–",
        ]
        for way in ways
    ]
    title = f"## {found['polygons']:,} polygons, {found['megabytes']} MB, into PostGIS"
    return [title, table(["", "seconds", "polygons/s", "seconds of CPU"], rows)]


def _searches(results: Mapping[str, Any]) -> list[str]:
    found = results.get("searches")
    if not found:
        return []
    names = {
        "sql": "pgstac.search by SQL",
        "application": "the application, with the page at hand",
        "host": "GET /api/livez",
        "api": "POST /api/stac/search",
    }
    rows = [[name, f"{found[way]['p50']:.1f}", f"{found[way]['p95']:.1f}"] for way, name in names.items()]
    title = f"## {found['searches']} STAC searches of a box and an interval, {found['items']:,} items"
    return [title, table(["", "p50 ms", "p95 ms"], rows)]


def _rasters(results: Mapping[str, Any]) -> list[str]:
    parts = []
    if found := results.get("conversion"):
        ways = ("gdal", "rio_cogeo", "ours", "ours_with_checks")
        rows = [[way, f"{found[way]:.2f}"] for way in ways]
        title = f"## One raster of {found['megapixels']} megapixels to a COG, {found['threads']} thread"
        parts += [title, table(["", "seconds"], rows)]
    if found := results.get("small_rasters"):
        rows = [
            [way, f"{found[way]:.1f}", f"{found['rasters'] / found[way]:.1f}"] for way in ("gdal", "ours")
        ]
        title = f"## {found['rasters']:,} small rasters, {found['megabytes']} MB together"
        parts += [title, table(["", "seconds", "COGs/s"], rows)]
    if found := results.get("chunked"):
        rows = [[way, f"{found[way]:.1f}"] for way in ("one_worker", "two_workers")]
        title = f"## {found['gigapixels']} gigapixels in {found['tiles']} tiles, one task at a time a worker"
        parts += [title, table(["", "seconds"], rows)]
    for found in results.get("catalog", []):
        ways = ("pypgstac", "ours_load", "ours_build", "ours")
        rows = [[way, f"{found[way]:.1f}", f"{found['items'] / found[way]:,.0f}"] for way in ways]
        title = f"## {found['items']:,} items, {found['megabytes']} MB, partition by {found['partition_by']}"
        parts += [title, table(["", "seconds", "items/s"], rows)]
    return parts


def _targets(results: Mapping[str, Any]) -> str:
    words = {True: "pass", False: "MISS", None: "not measured"}
    rows = [
        [one.target, one.aim, "–" if one.value is None else f"{one.value:.2f}", words[one.met], one.note]
        for one in verdicts(results)
    ]
    return table(["target", "aim", "measured", "", "from"], rows)
