"""The memory that all tasks of a process may use together."""

from __future__ import annotations

from .budget import Budget


class MemoryBudget(Budget):
    """Estimates of memory, reserved before it is used: a task that would not fit beside others waits."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, "memory")
