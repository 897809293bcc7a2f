"""Limits of concurrency: how many jobs of a type, or tasks of a type, may run at once."""

from __future__ import annotations

import logging

from interfaces.errors import FieldError, InvalidRequest, NotFound, PermanentTaskError
from interfaces.jobs import ConcurrencyLimit
from interfaces.workflows import JobTypes, TaskTypes
from repositories.limits import LimitRepository

from .relay import Relay

logger = logging.getLogger(__name__)


class Limits:
    """Operators' limits, which hold for every process at once and change while jobs run."""

    def __init__(
        self, limits: LimitRepository, job_types: JobTypes, task_types: TaskTypes, relay: Relay
    ) -> None:
        self._limits = limits
        self._job_types = job_types
        self._task_types = task_types
        self._relay = relay

    def all(self) -> list[ConcurrencyLimit]:
        """Every limit, with what runs and waits now."""
        return self._limits.all()

    def set(self, kind: str, name: str, at_most: int | None) -> None:
        """Set a limit, 0 to hold all back, or remove it with None; what may run now is woken.

        What runs already is left alone. Raises `InvalidRequest`, `UnknownJobType`, `NotFound`.
        """
        if kind == "job":
            self._job_types.get(name)
        elif kind == "task":
            try:
                self._task_types.get(name)
            except PermanentTaskError as error:
                raise NotFound(str(error)) from error
        else:
            reason = "must be job or task"
            raise InvalidRequest(f"kind: {reason}", errors=[FieldError(field="kind", reason=reason)])
        self._limits.set(kind, name, at_most)
        logger.info("limit of %s type %s: %s", kind, name, "none" if at_most is None else at_most)
        self._relay.drain()
