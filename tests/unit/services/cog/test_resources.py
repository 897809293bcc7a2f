"""Memory that tasks share."""

from __future__ import annotations

import subprocess
import sys

FREED = """
import re, threading
from pathlib import Path
from interfaces.settings import Settings
from services.cog.resources import Resources
resources, kept, sizes = Resources(Settings()), [], []
def megabytes():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
def use():
    with resources.memory(1, lambda: None):
        blocks = [bytearray(b"x" * 100_000) for _ in range(2_000)]
        # What lies above all that is freed.
        kept.append(bytearray(b"x" * 100_000))
        sizes.append(megabytes())
        del blocks
before = megabytes()
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(sizes[0] - before, megabytes() - before)
"""


def test_what_a_task_has_freed_is_given_back_when_it_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, check=True, timeout=60
    )
    used, left = map(int, done.stdout.split())
    assert used > 150, done
    assert left < 50, done
