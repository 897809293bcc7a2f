"""Tokens as Entra ID makes them, with keys of the test's own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from interfaces.settings import Settings

TENANT = "11111111-2222-3333-4444-55555555aaaa"
OTHER = "99999999-2222-3333-4444-55555555aaaa"
AUDIENCE = "api://orchestrator"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
APP, PERSON = "client-app-id", "object-of-ada"


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    del name
    return rsa.generate_private_key(65537, 2048)


def settings(**overrides: Any) -> Settings:
    given = {"access": "entra", "entra_tenant_id": TENANT, "entra_audience": AUDIENCE}
    return Settings(**(given | overrides))


@dataclass(frozen=True)
class Soon:
    """A time so many seconds from when the token is made."""

    seconds: int


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a person's access token; None leaves one out."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "tid": TENANT,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "azp": APP,
        "oid": PERSON,
        "scp": "access_as_user",
        "preferred_username": "ada@example.org",
        "roles": ["operator"],
    }
    found = {name: value for name, value in (usual | changed).items() if value is not None}
    return {name: now + value.seconds if isinstance(value, Soon) else value for name, value in found.items()}


def token(
    key: Any = None, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any
) -> str:
    signer = private_key("tenant") if key is None else key
    return jwt.encode(claims(**changed), signer, algorithm, headers={"kid": "k1"} | (headers or {}))
