"""Names of results in blob storage: each attempt has one of its own, below those of its run and stage."""

from __future__ import annotations

import re

_NAME = re.compile(r"[0-9a-f]{64}/\d{1,10}/\d{1,5}/(\d{1,10})-(\d{1,19})\.json")


def name(job_id: str, run: int, stage: int, task_index: int, fence: int) -> str:
    """Where the attempt with this fence keeps a result that is too large for the database."""
    return f"{prefix(job_id, run, stage)}{task_index}-{fence}.json"


def prefix(job_id: str, run: int, stage: int | None = None) -> str:
    """What the names of a run's results begin with, or of one stage's."""
    return f"{job_id}/{run}/" if stage is None else f"{job_id}/{run}/{stage}/"


def attempt(name: str) -> tuple[int, int] | None:
    """Task index and fence in a name; None for a blob that somebody else put there."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None
