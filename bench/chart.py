"""Draws the results: `python chart.py results.json chart.png`, in an environment that has matplotlib."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = {
    "ours": "#0b6e4f",
    "ours, 100 ms polling": "#6bbf59",
    "dbos": "#8a5a9e",
    "procrastinate": "#d17a22",
    "celery": "#4c78a8",
}
TICKS = (1, 30, 1_000, 10_000, 100_000)


def draw(results: dict[str, Any], target: Path) -> None:
    """Three panels over n: tasks a second, seconds, CPU for each task."""
    figure, panels = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    titles = ("Tasks per second", "Seconds from submission to end", "CPU ms per task (workers + database)")
    for panel, title in zip(panels, titles, strict=True):
        panel.set(title=title, xscale="log", yscale="log", xlabel="n (two stages of n tasks)")
        panel.set_xticks(TICKS, [f"{n:,}" for n in TICKS])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    for side, by_size in results["throughput"]["runs"].items():
        sizes = sorted(int(n) for n in by_size)
        seconds = [statistics.median(run["seconds"] for run in by_size[str(n)]) for n in sizes]
        style = {"color": COLOURS.get(side, "black"), "marker": "o", "label": side}
        panels[0].plot(sizes, [2 * n / one for n, one in zip(sizes, seconds, strict=True)], **style)
        panels[1].plot(sizes, seconds, **style)
        panels[2].plot(sizes, [_cpu(by_size[str(n)]) / n for n in sizes], **style)
    panels[0].legend(fontsize=8)
    figure.suptitle("Two stages of n no-op tasks with durable results, two worker processes each")
    figure.savefig(target, dpi=120)


def _cpu(runs: list[dict[str, Any]]) -> float:
    """Milliseconds of CPU for one stage: half a job's, without the storage emulator's."""
    used = [sum(value for group, value in run["cpu"].items() if group != "azurite") for run in runs]
    return float(max(statistics.median(used), 0.001)) * 1000 / 2


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
