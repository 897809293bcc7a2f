"""Access tokens of Entra ID, validated: signature, issuer, audience, tenant, times.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
https://learn.microsoft.com/entra/identity-platform/claims-validation
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from interfaces.access import Principal, Role
from interfaces.errors import NotAuthenticated
from interfaces.settings import Settings

from .signing_keys import SigningKeys, UnknownKey, fetching

ALGORITHM = "RS256"
"""What Entra ID signs with. The token does not choose."""
MAX_CHARACTERS = 16 * 1024
MAX_KEY_ID_CHARACTERS = 200
LEEWAY_SECONDS = 60
"""By how much clocks may differ."""
REQUIRED = ["exp", "iat", "iss", "aud", "tid"]
NAMES = ("preferred_username", "upn", "unique_name", "email", "name")
REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidIssuedAtError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is meant for somebody else: its audience is not this app",
    jwt.InvalidIssuerError: "its issuer is not the tenant's",
    jwt.InvalidAlgorithmError: f"it is not signed with {ALGORITHM}",
    jwt.InvalidSignatureError: "its signature does not hold",
    jwt.MissingRequiredClaimError: "it lacks a claim that access tokens have",
}
MALFORMED = "it is no JSON web token"


class Tokens:
    """Validates tokens of one tenant."""

    def __init__(self, settings: Settings, keys: SigningKeys | None = None) -> None:
        tenant = settings.entra_tenant_id.lower()
        base = f"{settings.entra_authority}/{tenant}"
        self._tenant = tenant
        self._audiences = settings.audiences
        # Of either version, which the application's registration decides on; both name the tenant.
        self._issuers = [f"{base}/v2.0", f"https://sts.windows.net/{tenant}/"]
        self._keys = keys or SigningKeys(fetching(f"{base}/discovery/v2.0/keys"))

    def principal(self, token: str) -> Principal:
        """Whom an access token is about.

        Raises `NotAuthenticated` with the reason, which quotes nothing of the token, and `ServiceUnavailable`
        where the keys cannot be had.
        """
        claims = self._claims(token)
        if str(claims["tid"]).lower() != self._tenant:
            raise _refused("it is of another tenant")
        app = _text(claims, "azp", "appid")
        if app is None:
            # An ID token tells the client who signed in; it is nobody's leave to call an API.
            raise _refused("it is no access token: it does not say which application it was given to")
        roles = claims.get("roles")
        object_id = _text(claims, "oid", "sub")
        is_app = claims.get("idtyp") == "app" or "scp" not in claims
        name = app if is_app else _text(claims, *NAMES) or object_id or app
        role = Role.highest(roles) if isinstance(roles, list) else Role.ANYONE
        return Principal("app" if is_app else "user", name, role, object_id)

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_CHARACTERS:
            raise _refused(f"it has more than {MAX_CHARACTERS} characters")
        try:
            header = jwt.get_unverified_header(token)
            key_id = header.get("kid")
            # Looked at before any key is fetched for it.
            if header.get("alg") != ALGORITHM:
                raise jwt.InvalidAlgorithmError
            if not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID_CHARACTERS:
                raise UnknownKey
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self._keys.get(key_id),
                algorithms=[ALGORITHM],
                audience=self._audiences,
                issuer=self._issuers,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED},
            )
        except UnknownKey:
            raise _refused("it is signed with a key that the tenant does not have") from None
        except jwt.InvalidTokenError as error:
            raise _refused(REASONS.get(type(error), MALFORMED)) from None
        except ValueError:
            raise _refused(MALFORMED) from None
        return claims


def _text(claims: Mapping[str, Any], *names: str) -> str | None:
    found = (claims.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value), None)


def _refused(reason: str) -> NotAuthenticated:
    return NotAuthenticated(f"the token does not hold: {reason}")
