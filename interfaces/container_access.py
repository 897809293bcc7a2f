"""Which containers jobs may read and write: an allow-list of each kind, and what is never on it.

What a field names that bears `Read` or `Written` is held to them (`allow_lists`, docs/adr/0023).
"""

from __future__ import annotations

import re

from .settings import Settings

PLATFORM_CONTAINERS = (
    "azure-webjobs-*",
    "azure-functions-*",
    "app-package-*",
    "deploymentpackage",
    "scm-releases",
    "function-releases",
    "insights-logs-*",
    "insights-metrics-*",
    "bootdiagnostics-*",
)
"""Where the platform keeps an app's keys, locks, packages and logs, by the names that it gives by itself:
whoever writes a package runs code, whoever reads keys is an operator.
https://learn.microsoft.com/azure/azure-functions/storage-considerations#storage-account-guidance"""

_ORDINARY = re.compile(r"[a-z0-9-]+")
"""Others are the account's own, such as `$root`, `$web` and `$logs`."""


class ContainerAccess:
    """Says of a container whether jobs may read or write it."""

    def __init__(self, settings: Settings) -> None:
        self._own = {
            settings.scratch_container: "scratch blobs",
            settings.results_container: "results",
            settings.retention_archive_container: "the archive of runs",
        }
        self._platform = _patterns(",".join((*PLATFORM_CONTAINERS, settings.reserved_containers)))
        self._read = _patterns(settings.source_containers)
        self._written = _patterns(settings.target_containers)

    def why_not_read(self, name: str) -> str | None:
        """Why jobs must not read this container; None when they may."""
        return self._reserved(name) or self._unlisted(name, self._read, "source_containers")

    def why_not_written(self, name: str) -> str | None:
        """Why jobs must not write this container; None when they may."""
        return self._reserved(name) or self._unlisted(name, self._written, "target_containers")

    def why_not_seen(self, name: str) -> str | None:
        """Why jobs must not look into this container; what may be written may be looked at, too."""
        return self.why_not_read(name) and self.why_not_written(name)

    def _reserved(self, name: str) -> str | None:
        if holds := self._own.get(name):
            return f"{name} is this app's own container of {holds}; choose another one"
        if self._platform.fullmatch(name) or not _ORDINARY.fullmatch(name):
            return f"{name} is a container of the platform's, or reserved; choose another one"
        return None

    def _unlisted(self, name: str, allowed: re.Pattern[str], setting: str) -> str | None:
        return (
            None if allowed.fullmatch(name) else f"{name} is not one of the containers that {setting} allows"
        )


def _patterns(text: str) -> re.Pattern[str]:
    """One pattern of a list with commas, in which `*` stands for anything; what is empty fits nothing."""
    alternatives = [
        re.escape(pattern.strip()).replace(r"\*", ".*") for pattern in text.split(",") if pattern.strip()
    ]
    return re.compile("|".join(alternatives) if alternatives else r"(?!)")
