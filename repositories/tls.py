"""Whether connections make sure that the server is the one that they name.

A password or a token is given to whoever answers. Without `sslmode=verify-full` that may be anybody on the
way: PostgreSQL's manual, "Protection Provided in Different Modes".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from interfaces.errors import OrchestratorError
from interfaces.settings import Settings

VERIFIED = "verify-full"
ALLOWED_BY = "DATABASE_ALLOW_UNVERIFIED"
URLS = ("database_url", "database_direct_url", "database_owner_url")


class UnsafeConnection(OrchestratorError):
    """A setting names a database whose identity nobody would check. Raised at start, never answered."""

    title = "Unsafe connection"


def check(settings: Settings) -> None:
    """Raise `UnsafeConnection`, which names the setting, for a database elsewhere that would not be verified.

    Elsewhere is what is reached neither by a socket in the file system nor by a loopback address.
    """
    for name in URLS:
        url = getattr(settings, name).get_secret_value()
        if url and not settings.database_allow_unverified:
            _check(url, name.upper())


def root_certificates(url: str) -> dict[str, str]:
    """The argument that names the roots to verify by, where neither the URL, the environment nor a file does.

    The roots that libpq's `system` stands for are not where the driver's wheel looks for them.
    """
    options = _options(url)
    if not options.get("sslmode", "").startswith("verify") or options.get("sslrootcert"):
        return {}
    if os.path.exists(os.path.expanduser("~/.postgresql/root.crt")):
        return {}
    import certifi

    return {"sslrootcert": certifi.where()}


def _check(url: str, setting: str) -> None:
    try:
        options = _options(url)
    except psycopg.ProgrammingError:
        # The driver's words would quote the password.
        raise UnsafeConnection(f"{setting}: is no connection string of PostgreSQL") from None
    mode = options.get("sslmode", "")
    if mode != VERIFIED and not _is_local(options):
        raise UnsafeConnection(
            f"{setting}: names a database on another host with sslmode={mode or 'unknown'}, which does not"
            f" make sure that it is that host; add sslmode={VERIFIED}, or allow it by {ALLOWED_BY}=true"
            " (docs/database-roles.md)"
        )


def _options(url: str) -> Mapping[str, str]:
    """What libpq goes by: the URL, and what the environment says where the URL does not."""
    given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    if "service" in given:
        # A file may say anything else, but not against the URL.
        return {"host": "of a service", **given}
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }
    return {**defaults, **given}


def _is_local(options: Mapping[str, str]) -> bool:
    """Whether all of its hosts are this machine. An address counts for more than the name beside it."""
    hosts = options.get("host", "").split(",")
    addresses = options.get("hostaddr", "").split(",")
    if len(addresses) < len(hosts):
        addresses += [""] * (len(hosts) - len(addresses))
    if len(hosts) < len(addresses):
        hosts += [""] * (len(addresses) - len(hosts))
    return all(_local(address or host) for host, address in zip(hosts, addresses, strict=True))


def _local(host: str) -> bool:
    # Nothing, a folder or an abstract socket: a socket of this machine's.
    if not host or host[0] in "/@" or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
