"""A job of 100,000 tasks, with results of 1 KB each, in bounded memory."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.fix_app import App

pytestmark = [pytest.mark.timeout(300), pytest.mark.chaos]

LIMIT_MB = 250


def peak_mb(pid: int) -> float:
    """The largest resident memory that a process ever had (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 1024


def test_workers_stay_small_while_they_fan_out_run_and_sum_up_a_large_job(app: App) -> None:
    before = set(app.workers())
    job_id = app.submit("hello_world", n=100_000, message="x" * 1000, name="large")
    other = threading.Timer(5, app.submit, ("hello_world",), {"n": 10, "name": "beside a large job"})
    other.start()
    status = app.wait(job_id, 240)
    other.join()
    assert status["status"] == "completed"
    assert status["progress"]["completed"] == 200_000
    assert set(app.workers()) == before, "a worker died"
    peaks = [peak_mb(pid) for pid in before]
    assert max(peaks) < LIMIT_MB, peaks
    assert app.violations() == 0
