"""Lets requests in: by the host's keys, or by identities of Entra ID and their roles (docs/access.md).

With keys the host has decided before the app sees a request. With identities the host lets everything in, and
the app decides here, before it looks at anything else of the request.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

import azure.functions as func

from interfaces.access import Principal, Role
from interfaces.errors import Forbidden, RoleNeeded
from triggers.threads import Threads

from .access_dependencies import Identities
from .forwarding import public_address
from .requests import KEY_PARAMETERS, Request

KEY_HEADER = "x-functions-key"
SAFE = {"GET", "HEAD", "OPTIONS"}
IDENTITIES_AT_ONCE = 4
"""Threads on which tokens are looked at, apart from those of requests: while nobody answers who signs tokens,
what needs none of it goes on being answered."""
ANONYMOUS = Principal("anonymous", "anonymous", Role.ANYONE)


class Gate(Protocol):
    """Decides who gets in."""

    def level(self, strongest: Role) -> func.AuthLevel:
        """Which key the host asks for, at a URL of which some method needs this role."""
        ...

    async def admit(self, role: Role, request: Request, context: func.Context) -> Principal:
        """Who calls, where that may be done. Raises `NotAuthenticated`, `Forbidden`, `ServiceUnavailable`."""
        ...


class KeyGate:
    """The host asks for its keys: a function key opens everything but what needs an administrator."""

    def level(self, strongest: Role) -> func.AuthLevel:
        """The admin key, a function key, or none."""
        if strongest is Role.ADMIN:
            return func.AuthLevel.ADMIN
        return func.AuthLevel.ANONYMOUS if strongest is Role.ANYONE else func.AuthLevel.FUNCTION

    async def admit(self, role: Role, request: Request, context: func.Context) -> Principal:
        """Whoever got here; a key has no name that the host would tell."""
        del context
        offered = request.headers.get(KEY_HEADER) or request.given(KEY_PARAMETERS)
        if not offered or role is Role.ANYONE:
            # The host asks for none where it runs on a developer's machine.
            return ANONYMOUS
        admin = role is Role.ADMIN
        return Principal("key", "admin key" if admin else "key", Role.ADMIN if admin else Role.OPERATOR)


class EntraGate:
    """The app asks who calls. Where no role is needed it does not: whatever was sent along is passed over."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._threads = Threads("identities", IDENTITIES_AT_ONCE)

    def level(self, strongest: Role) -> func.AuthLevel:
        """None: a key of the host says nothing about who calls."""
        del strongest
        return func.AuthLevel.ANONYMOUS

    async def admit(self, role: Role, request: Request, context: func.Context) -> Principal:
        """The caller with this role or a higher one."""
        if role is Role.ANYONE:
            return ANONYMOUS
        # On a thread: the keys that sign tokens may have to be fetched.
        principal = await self._threads.run(context, self._identities.principal, request.headers)
        if principal.role < role:
            raise RoleNeeded(principal.needs(role))
        if principal.by_session and request.method not in SAFE:
            _refuse_other_sites(request)
        return principal


def _refuse_other_sites(request: Request) -> None:
    """Keep other sites from having a person's browser do something, which sends the cookie along.

    Browsers say whose page asks: `Sec-Fetch-Site`, and older ones `Origin`. What says neither is no browser.
    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """
    headers = request.headers
    site = headers.get("sec-fetch-site")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        origin = headers.get("origin")
        hosts = {public_address(request.url, headers).host.lower(), headers.get("host", "").lower()}
        own = origin is None or urlsplit(origin).netloc.lower() in hosts
    if not own:
        raise Forbidden("a page of another site asked for this; only the app's own pages may")
