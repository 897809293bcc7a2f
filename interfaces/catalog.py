"""The STAC catalog in the database: what is installed of pgstac."""

from __future__ import annotations

from .contracts import Contract
from .errors import Conflict


class CatalogNotSetUp(Conflict):
    """The database has no pgstac, or one that this release cannot work with: the job stac_setup mends it."""

    title = "Catalog not set up"


class CatalogRefused(Conflict):
    """pgstac cannot be installed or migrated here; the detail says what is needed."""

    title = "Catalog refused"


class CatalogState(Contract):
    """pgstac as the database has it, and as this release brings it."""

    installed: str | None
    """Version in the database; None where there is none."""
    library: str
    """Version that this release installs."""
    extensions: dict[str, str | None]
    """Version of each extension that pgstac needs; None where it was not created."""
    roles: dict[str, bool]
    """pgstac's roles that exist, and whether the app's user may act as each."""

    @property
    def ready(self) -> bool:
        """Whether items can be loaded and searched: the versions agree."""
        return self.installed == self.library


class CatalogMigration(Contract):
    """What an installation or migration did."""

    before: str | None
    """Version that was found; None where there was none."""
    after: str
    applied: list[str]
    """Migration files, in their order; empty when there was nothing to do."""
