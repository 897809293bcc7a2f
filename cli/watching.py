"""Waits for a job, and shows how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.api import Api, Document

ENDED = {"completed", "completed_with_errors", "failed", "cancelled"}
LOOK_SECONDS = 2.0
"""Between two looks at a job that goes on; that it has ended is told at once."""


class StillRunning(Exception):
    """The job did not end in time."""


def watch(api: Api, job_id: str, seconds: float | None, console: Console) -> Document:
    """Answer the status of the ended job. Raises `StillRunning` after `seconds`."""
    looks = _looks(api, job_id, seconds)
    return _with_bar(looks, console) if console.is_terminal else _with_lines(looks, console)


def _looks(api: Api, job_id: str, seconds: float | None) -> Iterator[Document]:
    end = None if seconds is None else time.monotonic() + seconds
    status = api.get("jobs", "status", job_id)
    yield status
    while status["status"] not in ENDED:
        left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
        if left <= 0:
            raise StillRunning(f"job {job_id} is still {status['status']} after {seconds:g} s")
        status = api.get("jobs", "status", job_id, wait=f"{left:.1f}")
        yield status


def _with_bar(looks: Iterator[Document], console: Console) -> Document:
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=100)
        for status in looks:
            progress.update(bar, completed=status["progress"]["percent"], description=described(status))
    return status


def _with_lines(looks: Iterator[Document], console: Console) -> Document:
    said = ""
    for status in looks:
        line = f"{described(status)} {status['progress']['percent']} %"
        if line != said:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            said = line
    return status


def described(status: Document) -> str:
    """As "processing 2/7 inspect: 40 of 43 tasks, 1 failed"."""
    stages = status["stages"]
    text = f"{status['status']} {status['stage']}/{status['total_stages']}"
    if not stages or status["status"] in ENDED:
        return text
    current = stages[-1]
    counts = current["progress"]
    ended = sum(counts[name] for name in ("completed", "failed", "cancelled"))
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{text} {current['stage_key']}: {ended} of {current['task_count']} tasks{failed}"
