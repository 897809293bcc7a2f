"""Names of scratch blobs: each attempt has its own, below those of its run."""

from __future__ import annotations

import re

_RUN = re.compile(r"([0-9a-f]{64})/([1-9]\d{0,9})/")
_SUFFIX = re.compile(r"[\w.-]{0,200}", re.ASCII)


def name(job_id: str, run: int, stage: int, task_index: int, fence: int, suffix: str) -> str:
    """Where the attempt with this fence keeps something for a later stage.

    Raises `ValueError` for a suffix of more than letters, digits and "._-".
    """
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"a suffix is made of letters, digits, '.', '_' and '-', not {suffix[:100]!r}")
    return f"{prefix(job_id, run)}{stage}/{task_index}-{fence}{suffix}"


def prefix(job_id: str, run: int) -> str:
    """What the names of a run's scratch blobs begin with."""
    return f"{job_id}/{run}/"


def run(prefix: str) -> tuple[str, int] | None:
    """Job and run of a prefix that ends behind the run; None for what somebody else put there."""
    found = _RUN.fullmatch(prefix)
    return (found[1], int(found[2])) if found else None
