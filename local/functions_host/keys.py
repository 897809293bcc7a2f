"""Access keys of the host.

https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.functions_host.errors import HostConfigurationError
from local.functions_host.http_routes import AuthLevel

HEADER = "x-functions-key"
QUERY_PARAMETER = "code"


@dataclass(frozen=True)
class HostKeys:
    """One host-wide function key and the master key, here called `admin`."""

    function: str = field(repr=False)
    admin: str = field(repr=False)

    def allow(self, level: AuthLevel, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Tell whether a request with these headers and query may call a function of this level.

        The key is in the header `x-functions-key` or else in the query parameter `code`. The admin key opens
        everything.
        """
        if level is AuthLevel.ANONYMOUS:
            return True
        offered = (headers.get(HEADER) or query.get(QUERY_PARAMETER) or "").encode()
        is_admin = hmac.compare_digest(offered, self.admin.encode())
        is_function = hmac.compare_digest(offered, self.function.encode())
        return is_admin or (level is AuthLevel.FUNCTION and is_function)


def load_keys(path: Path) -> HostKeys:
    """Read the keys, and make them first when the file is missing, readable by its owner only.

    Raises:
        HostConfigurationError: the file is not an object with the texts `function` and `admin`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    keys = {"function": secrets.token_urlsafe(40), "admin": secrets.token_urlsafe(40)}
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(keys, file, indent=2)
    return HostKeys(**keys)


def _read(path: Path) -> HostKeys:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return HostKeys(function=str(document["function"]), admin=str(document["admin"]))
    except (ValueError, KeyError, TypeError) as error:
        raise HostConfigurationError(f'{path}: must hold {{"function": …, "admin": …}}') from error
