"""Says who calls, by the headers of a request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from interfaces.access import Principal
from interfaces.errors import NotAuthenticated
from interfaces.settings import Settings

from .platform import PRINCIPAL_HEADER, SIGN_IN, platform_principal

if TYPE_CHECKING:
    from .tokens import Tokens

SCHEME = "bearer"


class EntraIdentities:
    """Who calls. A token goes before the platform's header; one that does not hold is not passed over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        authority, tenant = settings.entra_authority, settings.entra_tenant_id
        self._challenge = f'Bearer authorization_uri="{authority}/{tenant}/oauth2/v2.0/authorize"'

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """The caller; his role is `ANYONE` where he has none of ours.

        `headers` by lower-case names. Raises `NotAuthenticated`, and `ServiceUnavailable` while the keys that
        tokens are signed with cannot be had.
        """
        given, said = headers.get("authorization", ""), headers.get(PRINCIPAL_HEADER, "")
        trusts = self._settings.trusts_platform_identity
        try:
            if given and self._settings.audiences:
                return self._tokens.principal(_token(given))
            if said and trusts:
                # Another site's page cannot have the browser send a token; other schemes it might.
                by_session = not given.lower().startswith(f"{SCHEME} ")
                return platform_principal(said, self._settings.entra_tenant_id, by_session=by_session)
        except NotAuthenticated as refused:
            invalid = f'{self._challenge}, error="invalid_token"'
            raise NotAuthenticated(refused.detail, challenge=invalid, sign_in=self._sign_in) from None
        ways = ["a bearer token of Entra ID"] * bool(self._settings.audiences) + ["signing in"] * trusts
        raise NotAuthenticated(
            f"this needs {' or '.join(ways)}", challenge=self._challenge, sign_in=self._sign_in
        )

    @property
    def _sign_in(self) -> str:
        return SIGN_IN if self._settings.trusts_platform_identity else ""

    @cached_property
    def _tokens(self) -> Tokens:
        # With it comes the library of JSON web tokens: loaded by the first of them.
        from .tokens import Tokens

        return Tokens(self._settings)


def _token(header: str) -> str:
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != SCHEME or not token.strip():
        raise NotAuthenticated("the Authorization header must be Bearer and a token")
    return token.strip()
