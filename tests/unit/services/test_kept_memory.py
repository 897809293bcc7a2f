"""What the C library does with freed memory, in a process of its own: it lasts for the process."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, resource, sys
from interfaces.settings import Settings
if sys.argv[1] == "kept":
    from services.cog.resources import Resources
    Resources(Settings())
import numpy

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        some = [numpy.ones(100_000) for _ in range(12)]
        del some
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(json.dumps(faults()))
"""


def faults(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout))


def test_pages_of_what_is_freed_and_allocated_again_are_not_taken_anew() -> None:
    # 9.6 MB twenty times: 2,344 pages each time.
    assert faults("kept") < 2_344 < faults("default") / 5
