"""Handlers of stac_setup: pgstac is installed or migrated, told its settings, and tried out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from interfaces.catalog import CatalogAdministration, CatalogMigration, CatalogRefused, CatalogState
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.marks import Granted
from interfaces.workflows import TaskContext


class MigrateCatalogParameters(TaskParameters):
    """Nothing: the release brings its version of pgstac."""


class MigrateCatalog:
    """Installs pgstac, or migrates what is there. Once it is up to date, it does nothing."""

    def __init__(self, catalog: CatalogAdministration) -> None:
        self._catalog = catalog

    def __call__(self, parameters: MigrateCatalogParameters, context: TaskContext) -> CatalogMigration:  # noqa: ARG002
        """Versions before and after. Raises `PermanentTaskError` with what is in the way."""
        try:
            return self._catalog.migrate()
        except CatalogRefused as error:
            raise PermanentTaskError(error.detail) from error


class ConfigureCatalogParameters(TaskParameters):
    """Settings of pgstac, and database roles that may read or fill the catalog."""

    settings: dict[str, str] = Field(default_factory=dict)
    readers: list[Annotated[str, Granted()]] = Field(default_factory=list)
    writers: list[Annotated[str, Granted()]] = Field(default_factory=list)


class CatalogConfiguration(Contract):
    """What pgstac's settings are now, and what was changed or granted."""

    settings: dict[str, str]
    changed: list[str]
    granted: list[str]


class ConfigureCatalog:
    """Changes settings and grants roles; those that are as they should be are left alone."""

    def __init__(self, catalog: CatalogAdministration) -> None:
        self._catalog = catalog

    def __call__(self, parameters: ConfigureCatalogParameters, context: TaskContext) -> CatalogConfiguration:  # noqa: ARG002
        """Raises `PermanentTaskError` for a role that does not exist or may not be granted."""
        try:
            changed = self._catalog.configure(parameters.settings)
            granted = self._catalog.grant(parameters.readers, parameters.writers)
        except CatalogRefused as error:
            raise PermanentTaskError(error.detail) from error
        return CatalogConfiguration(settings=self._catalog.settings(), changed=changed, granted=granted)


class VerifyCatalogParameters(TaskParameters):
    """Nothing."""


class CatalogVerification(Contract):
    """The catalog as it was found to work."""

    state: CatalogState
    collections: int
    items_estimate: int
    """As the database estimates it."""
    queued: int
    """Statements that wait in pgstac's queue."""


class VerifyCatalog:
    """Loads an item and searches it, in a transaction that is undone."""

    def __init__(self, catalog: CatalogAdministration) -> None:
        self._catalog = catalog

    def __call__(self, parameters: VerifyCatalogParameters, context: TaskContext) -> CatalogVerification:  # noqa: ARG002
        """Raises `PermanentTaskError` with what does not work."""
        state = self._catalog.state()
        if not state.ready:
            raise PermanentTaskError(
                f"pgstac {state.installed} is installed; this release works with {state.library}"
            )
        try:
            counts: dict[str, Any] = self._catalog.verify()
        except CatalogRefused as error:
            raise PermanentTaskError(error.detail) from error
        return CatalogVerification(state=state, **counts)
