"""What jobs may name: containers that they read and write, and database roles that they give rights to.

A job's parameters are held to it when they are submitted and when a stage is planned, a task's parameters
when it runs (docs/adr/0023): what was allowed once may not be any more.
"""

from __future__ import annotations

from pydantic import BaseModel

from .container_access import ContainerAccess
from .errors import FieldError, InvalidParameters
from .marks import Granted, Mark, Written, named
from .settings import Settings


class AllowLists:
    """Holds what marked fields name (`marks`) to the settings."""

    def __init__(self, settings: Settings) -> None:
        self._containers = ContainerAccess(settings)
        self._roles = frozenset(settings.grantable_roles)

    def check(self, model: BaseModel, prefix: str = "") -> None:
        """Refuse a model that names what its field must not make use of.

        Raises `InvalidParameters` naming the fields, below `prefix`.
        """
        errors = [
            FieldError(field=field, reason=reason)
            for field, name, mark in named(model, prefix)
            if (reason := self._why_not(name, mark))
        ]
        if errors:
            raise InvalidParameters("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors)

    def _why_not(self, name: str, mark: type[Mark]) -> str | None:
        if mark is Granted:
            unlisted = f"{name} is not one of the database roles that stac_grantable_roles allows"
            return None if name in self._roles else unlisted
        if mark is Written:
            return self._containers.why_not_written(name)
        return self._containers.why_not_read(name)
