"""What the API needs to know who calls, as it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from interfaces.access import Principal


class Identities(Protocol):
    """Who calls, where the app is asked to find out (`repositories.entra`)."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """The caller, by headers of lower-case names. Raises `NotAuthenticated`, `ServiceUnavailable`."""
        ...
