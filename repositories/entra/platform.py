"""What App Service's own authentication ("Easy Auth") says of a caller that it has let in.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from interfaces.access import Principal, Role
from interfaces.errors import NotAuthenticated

PRINCIPAL_HEADER = "x-ms-client-principal"
SIGN_IN = "/.auth/login/aad"
ENTRA = "aad"
"""`auth_typ` of Entra ID; people of other providers have no app roles."""
MAX_HEADER_CHARACTERS = 64 * 1024
SCHEMAS = "http://schemas.microsoft.com/identity/claims"
SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
# Claims keep their names, or get those of WS-Federation, as the platform is configured.
TENANT = ("tid", f"{SCHEMAS}/tenantid")
OBJECT = ("oid", f"{SCHEMAS}/objectidentifier")
ROLES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
MAIL = f"{SOAP}/emailaddress"
NAMES = ("preferred_username", "upn", f"{SOAP}/upn", "unique_name", f"{SOAP}/name", "name", MAIL)
APPS = ("azp", "appid")


class Claim(BaseModel):
    """One thing that is said of the caller."""

    typ: str
    val: str


class ClientPrincipal(BaseModel):
    """The header's document."""

    auth_typ: str
    claims: Annotated[list[Claim], Field(max_length=2000)]
    role_typ: str | None = None

    def all(self, *types: str) -> list[str]:
        """The values of claims of these types."""
        return [claim.val for claim in self.claims if claim.typ in types]

    def first(self, types: Sequence[str]) -> str | None:
        """The value of the first type that is there."""
        return next((found for typ in types for found in self.all(typ) if found), None)


def platform_principal(header: str, tenant: str, *, by_session: bool) -> Principal:
    """The caller that the platform names. To be asked only where nobody else can have set the header.

    Raises `NotAuthenticated` where it cannot be read, or names somebody of another provider or tenant.
    """
    document = _document(header)
    if document.auth_typ != ENTRA:
        raise NotAuthenticated("only identities of Entra ID are known here")
    if (document.first(TENANT) or "").lower() != tenant.lower():
        raise NotAuthenticated("the identity is of another tenant")
    roles = (*ROLES, document.role_typ) if document.role_typ else ROLES
    name, object_id = document.first(NAMES), document.first(OBJECT)
    is_app = document.first(("idtyp",)) == "app" or name is None
    shown = (document.first(APPS) if is_app else name) or object_id or "unnamed"
    role = Role.highest(document.all(*roles))
    return Principal("app" if is_app else "user", shown, role, object_id, by_session=by_session)


def _document(header: str) -> ClientPrincipal:
    try:
        if len(header) > MAX_HEADER_CHARACTERS:
            raise ValueError
        text = base64.b64decode(header + "=" * (-len(header) % 4), validate=True)
        return ClientPrincipal.model_validate_json(text)
    except (ValidationError, ValueError, binascii.Error):
        raise NotAuthenticated("what the platform says of the caller cannot be read") from None
