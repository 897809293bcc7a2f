"""Who is believed: tokens by signature, issuer, audience, tenant and time; and what the platform says."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from interfaces.access import Principal, Role
from interfaces.errors import NotAuthenticated
from repositories.entra.signing_keys import (
    SigningKeys,
)
from repositories.entra.tokens import LEEWAY_SECONDS, MAX_CHARACTERS, Tokens
from tests.doubles.entra import APP, OTHER, PERSON, TENANT, Soon, claims, private_key, settings, token


def known_keys() -> SigningKeys:
    return SigningKeys(lambda: {"k1": private_key("tenant").public_key()})


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(settings(), known_keys())


def refused(tokens: Tokens, text: str) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        tokens.principal(text)
    # The reason quotes nothing of what was sent.
    assert text[:20] not in caught.value.detail
    return caught.value.detail.removeprefix("the token does not hold: ")


def test_a_person_is_known_by_name_object_and_highest_role(tokens: Tokens) -> None:
    found = tokens.principal(token(roles=["reader", "operator", "Something.Else"]))
    assert found == Principal("user", "ada@example.org", Role.OPERATOR, PERSON)


def test_an_application_is_known_by_its_id(tokens: Tokens) -> None:
    found = tokens.principal(token(scp=None, preferred_username=None, idtyp="app", roles=["submitter"]))
    assert found == Principal("app", APP, Role.SUBMITTER, PERSON)


def test_a_token_of_the_first_version_counts_too(tokens: Tokens) -> None:
    issuer = f"https://sts.windows.net/{TENANT}/"
    found = tokens.principal(
        token(iss=issuer, azp=None, appid=APP, preferred_username=None, upn="ada@example.org")
    )
    assert (found.name, found.role) == ("ada@example.org", Role.OPERATOR)


@pytest.mark.parametrize("roles", [None, [], ["Reader"], ["administrator", 7, None], "admin", {"admin": 1}])
def test_who_has_none_of_our_roles_has_no_role(tokens: Tokens, roles: Any) -> None:
    assert tokens.principal(token(roles=roles)).role is Role.ANYONE


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": Soon(-LEEWAY_SECONDS - 5)}, "it has expired"),
        ({"nbf": Soon(LEEWAY_SECONDS + 60)}, "it is not valid yet"),
        ({"iat": Soon(LEEWAY_SECONDS + 60)}, "it is not valid yet"),
        ({"aud": "api://another"}, "it is meant for somebody else: its audience is not this app"),
        ({"iss": f"https://login.microsoftonline.com/{OTHER}/v2.0"}, "its issuer is not the tenant's"),
        ({"iss": "https://evil.example.org/"}, "its issuer is not the tenant's"),
        ({"tid": OTHER}, "it is of another tenant"),
        ({"exp": None}, "it lacks a claim that access tokens have"),
        ({"aud": None}, "it lacks a claim that access tokens have"),
        ({"tid": None}, "it lacks a claim that access tokens have"),
    ],
)
def test_what_was_not_given_to_this_app_now_is_refused(
    tokens: Tokens, changed: dict[str, Any], reason: str
) -> None:
    assert refused(tokens, token(**changed)) == reason


def test_clocks_may_differ_by_a_minute(tokens: Tokens) -> None:
    assert tokens.principal(token(exp=Soon(-LEEWAY_SECONDS // 2))).role
    assert tokens.principal(token(nbf=Soon(LEEWAY_SECONDS // 2))).role


def test_an_id_token_is_no_access_token(tokens: Tokens) -> None:
    """It says who signed in, to the application that asked; its audience can be the same."""
    assert refused(tokens, token(azp=None, scp=None)).startswith("it is no access token")


def public_pem() -> bytes:
    return (
        private_key("tenant")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def forged_hs256() -> str:
    """Signed with the public key, as if it were a secret (RFC 8725, section 2.1)."""
    import hashlib
    import hmac

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT", "kid": "k1"}) + b"." + part(claims(roles=["admin"]))
    mac = base64.urlsafe_b64encode(hmac.new(public_pem(), signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + mac).decode()


def test_a_token_does_not_choose_how_it_is_verified(tokens: Tokens) -> None:
    wrong = "it is not signed with RS256"
    assert refused(tokens, forged_hs256()) == wrong
    assert refused(tokens, jwt.encode(claims(), "", "none", headers={"kid": "k1"})) == wrong
    assert refused(tokens, token(algorithm="RS512")) == wrong
    assert refused(tokens, token(ec.generate_private_key(ec.SECP256R1()), "ES256")) == wrong


def test_no_key_is_fetched_for_what_cannot_hold() -> None:
    tokens = Tokens(settings(), SigningKeys(lambda: pytest.fail("fetched")))
    assert refused(tokens, token(algorithm="RS512")) == "it is not signed with RS256"
    refused(tokens, "a.b.c")
    refused(tokens, "e" * (MAX_CHARACTERS + 1))


def test_a_key_that_the_token_brings_along_counts_for_nothing(tokens: Tokens) -> None:
    stranger = private_key("stranger")
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    brings = {"jwk": jwk, "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/x"}
    assert refused(tokens, token(stranger, headers=brings)) == "its signature does not hold"
    unknown = "it is signed with a key that the tenant does not have"
    assert refused(tokens, token(stranger, headers=brings | {"kid": "k2"})) == unknown
    assert refused(tokens, token(headers={"kid": "k" * 300})) == unknown


def test_one_changed_byte_is_seen(tokens: Tokens) -> None:
    head, body, signature = token().split(".")
    raised = base64.urlsafe_b64encode(json.dumps(claims(roles=["admin"])).encode()).decode().rstrip("=")
    assert refused(tokens, f"{head}.{raised}.{signature}") == "its signature does not hold"
    assert refused(tokens, f"{head}.{body}.") == "its signature does not hold"


def nested() -> str:
    text = "[" * 9000
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") + ".e30.AA"


@pytest.mark.parametrize(
    "text",
    ["x", "a.b.c", "....", "e30.e30.", "eyJhbGciOiJSUzI1NiJ9", "é.é.é", "\ud800.x.y", nested(), "e30.e30.!"],
)
def test_what_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens.principal(text)


def test_an_oversized_token_is_refused_before_it_is_read(tokens: Tokens) -> None:
    assert refused(tokens, "e" * (MAX_CHARACTERS + 1)) == f"it has more than {MAX_CHARACTERS} characters"
