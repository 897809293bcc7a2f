"""Where the keys of tokens come from, and what the platform says of who signed in."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from interfaces.access import Principal, Role
from interfaces.errors import NotAuthenticated, ServiceUnavailable
from repositories.entra import EntraIdentities
from repositories.entra.signing_keys import (
    FRESH_SECONDS,
    KEPT_SECONDS,
    PAUSE_AFTER_FAILURE_SECONDS,
    PAUSE_SECONDS,
    Keys,
    SigningKeys,
    UnknownKey,
    fetching,
)
from tests.doubles.entra import APP, OTHER, PERSON, TENANT, private_key, settings, token


class Authority:
    """Answers with keys; counts how often it was asked."""

    def __init__(self, *key_ids: str) -> None:
        self.key_ids = key_ids
        self.asked = 0
        self.down = False
        self.now = 1000.0

    def fetch(self) -> Keys:
        self.asked += 1
        if self.down:
            raise OSError("no route")
        return {key_id: private_key(key_id).public_key() for key_id in self.key_ids}

    def keys(self) -> SigningKeys:
        return SigningKeys(self.fetch, lambda: self.now)


def test_keys_are_fetched_once_and_again_when_a_token_names_a_new_one() -> None:
    authority = Authority("old")
    keys = authority.keys()
    assert keys.get("old") is keys.get("old")
    assert authority.asked == 1
    authority.key_ids, authority.now = ("old", "new"), authority.now + PAUSE_SECONDS
    assert keys.get("new").public_numbers() == private_key("new").public_key().public_numbers()
    assert authority.asked == 2


def test_strangers_who_name_keys_at_random_make_one_fetch_in_half_a_minute() -> None:
    authority = Authority("k1")
    keys = authority.keys()
    for n in range(100):
        with pytest.raises(UnknownKey):
            keys.get(f"random-{n}")
    assert authority.asked == 1
    keys.get("k1")
    authority.now += PAUSE_SECONDS
    with pytest.raises(UnknownKey):
        keys.get("random")
    assert authority.asked == 2


def test_a_key_that_is_gone_counts_until_the_next_fetch() -> None:
    authority = Authority("k1", "k2")
    keys = authority.keys()
    keys.get("k1")
    authority.key_ids = ("k2",)
    keys.get("k1")
    authority.now += FRESH_SECONDS
    with pytest.raises(UnknownKey):
        keys.get("k1")


def test_known_keys_count_for_a_day_while_nobody_answers() -> None:
    authority = Authority("k1")
    keys = authority.keys()
    keys.get("k1")
    authority.down = True
    authority.now += FRESH_SECONDS
    keys.get("k1")
    keys.get("k1")
    assert authority.asked == 2
    authority.now += KEPT_SECONDS
    with pytest.raises(ServiceUnavailable):
        keys.get("k1")


def test_an_outage_is_no_fault_of_the_caller_and_is_asked_about_every_few_seconds() -> None:
    authority = Authority("k1")
    authority.down = True
    keys = authority.keys()
    for _ in range(20):
        with pytest.raises(ServiceUnavailable):
            keys.get("k1")
    assert authority.asked == 1
    authority.down = False
    authority.now += PAUSE_AFTER_FAILURE_SECONDS
    keys.get("k1")
    assert authority.asked == 2


def test_who_has_a_key_that_counts_does_not_wait_for_a_fetch() -> None:
    authority, began, may_end = Authority("k1"), threading.Event(), threading.Event()
    keys = authority.keys()
    keys.get("k1")
    usual = authority.fetch

    def slow() -> Keys:
        began.set()
        assert may_end.wait(10)
        return usual()

    keys._fetch = slow
    authority.now += FRESH_SECONDS
    fetcher = threading.Thread(target=keys.get, args=("k1",))
    fetcher.start()
    assert began.wait(10)
    keys.get("k1")
    assert fetcher.is_alive()
    may_end.set()
    fetcher.join(10)


@pytest.fixture
def authority() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server on this machine that answers as Entra ID does, or as it is told to."""
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key("tenant").public_key()))
    curve = json.loads(
        jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
    )
    answer: dict[str, Any] = {
        "status": 200,
        "asked": [],
        "body": {"keys": [jwk | {"kid": "k1", "use": "sig"}, curve | {"kid": "k2", "use": "sig"}]},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer["asked"].append(self.path)
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answer
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_tokens_are_held_to_the_keys_of_the_tenant(authority: tuple[str, dict[str, Any]]) -> None:
    url, answer = authority
    identities = EntraIdentities(settings(entra_authority=url))
    headers = {"authorization": f"Bearer {token(iss=f'{url}/{TENANT}/v2.0')}"}
    assert identities.principal(headers).role is Role.OPERATOR
    assert identities.principal(headers).name == "ada@example.org"
    assert answer["asked"] == [f"/{TENANT}/discovery/v2.0/keys"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {}), (404, {}), (302, {}), (200, []), (200, {"keys": []}), (200, {"x": 1}), (200, "x")],
)
def test_an_authority_that_answers_nonsense_is_unavailable(
    authority: tuple[str, dict[str, Any]], status: int, body: Any
) -> None:
    url, answer = authority
    answer.update(status=status, body=body)
    identities = EntraIdentities(settings(entra_authority=url))
    with pytest.raises(ServiceUnavailable):
        identities.principal({"authorization": f"Bearer {token()}"})


def test_an_authority_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(ServiceUnavailable):
        SigningKeys(fetching("http://127.0.0.1:9/keys")).get("k1")


def platform(changed: dict[str, Any] | None = None, *, auth_typ: str = "aad") -> str:
    """The platform's header: of claims by type, or by several values of one type."""
    usual: dict[str, Any] = {
        "http://schemas.microsoft.com/identity/claims/tenantid": TENANT,
        "http://schemas.microsoft.com/identity/claims/objectidentifier": PERSON,
        "preferred_username": "ada@example.org",
        "roles": ["reader", "submitter"],
    }
    found = {name: value for name, value in (usual | (changed or {})).items() if value is not None}
    pairs = [
        {"typ": typ, "val": one}
        for typ, value in found.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    document = {"auth_typ": auth_typ, "claims": pairs, "name_typ": "n", "role_typ": "roles"}
    return base64.b64encode(json.dumps(document).encode()).decode()


def easy(**overrides: Any) -> EntraIdentities:
    platform = {"entra_easy_auth": True, "website_auth_enabled": True, "website_site_name": "orchestrator"}
    return EntraIdentities(settings(**(platform | overrides)))


def test_the_platform_says_who_signed_in() -> None:
    found = easy().principal({"x-ms-client-principal": platform()})
    assert found == Principal("user", "ada@example.org", Role.SUBMITTER, PERSON, by_session=True)


def test_the_platforms_header_is_believed_only_where_it_is_asked_for() -> None:
    forged = {"x-ms-client-principal": platform({"roles": ["admin"]})}
    with pytest.raises(NotAuthenticated) as caught:
        easy(entra_easy_auth=False).principal(forged)
    assert "signing in" not in caught.value.detail
    assert caught.value.sign_in == ""
    assert easy().principal(forged).role is Role.ADMIN


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"website_auth_enabled": None, "website_site_name": ""},
        {"website_auth_enabled": None},
        {"website_auth_enabled": False},
        {"website_site_name": ""},
    ],
)
def test_where_anybody_could_send_the_platforms_header_the_app_does_not_start(
    elsewhere: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError) as caught:
        easy(**elsewhere, database_url="postgresql://app:secret@db/x")
    assert "postgresql" not in str(caught.value)
    # What to do about it, whichever it is.
    for name in ("App Service Authentication on", "ENTRA_EASY_AUTH=false", "ENTRA_TRUSTED_PROXY=true"):
        assert name in str(caught.value)
    # Nobody believes it then.
    easy(**elsewhere, entra_easy_auth=False)
    # A proxy in front of the app sees to it.
    said = easy(**elsewhere, entra_trusted_proxy=True).principal({"x-ms-client-principal": platform()})
    assert said.role is Role.SUBMITTER


def test_what_app_service_says_of_itself_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    monkeypatch.setenv("WEBSITE_SITE_NAME", "orchestrator")
    assert settings(entra_easy_auth=True).trusts_platform_identity


@pytest.mark.parametrize(
    "header",
    [
        platform(auth_typ="google"),
        platform({"http://schemas.microsoft.com/identity/claims/tenantid": OTHER}),
        platform({"http://schemas.microsoft.com/identity/claims/tenantid": None}),
        "not base64!",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b"[" * 30_000).decode(),
        base64.b64encode(b'{"auth_typ": "aad", "claims": {"roles": "admin"}}').decode(),
        "A" * 70_000,
    ],
)
def test_what_the_platform_says_of_others_counts_for_nothing(header: str) -> None:
    with pytest.raises(NotAuthenticated):
        easy().principal({"x-ms-client-principal": header})


def test_who_can_sign_in_is_told_where() -> None:
    for headers in ({}, {"authorization": "Bearer x"}):
        with pytest.raises(NotAuthenticated) as caught:
            easy().principal(headers)
        assert caught.value.sign_in == "/.auth/login/aad"


def test_a_program_that_the_platform_let_in_is_no_session() -> None:
    said = platform({"preferred_username": None, "idtyp": "app", "appid": APP})
    headers = {"x-ms-client-principal": said, "authorization": "Bearer whatever the platform has looked at"}
    platform_only = easy(entra_audience="")
    found = platform_only.principal(headers)
    assert (found.kind, found.name, found.by_session) == ("app", APP, False)
    assert platform_only.principal({**headers, "authorization": "Basic YTpi"}).by_session


def test_a_token_that_does_not_hold_is_not_passed_over_for_a_session() -> None:
    headers = {"x-ms-client-principal": platform(), "authorization": "Bearer x.y.z"}
    with pytest.raises(NotAuthenticated):
        easy().principal(headers)


@pytest.mark.parametrize(
    ("given", "error"), [("", False), ("Basic YTpi", True), ("Bearer", True), ("Bearer x", True)]
)
def test_who_is_unknown_is_told_where_to_be_known(given: str, error: bool) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        EntraIdentities(settings()).principal({"authorization": given} if given else {})
    challenge = caught.value.challenge
    assert challenge.startswith(f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT}/')
    assert ('error="invalid_token"' in challenge) is error


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"entra_tenant_id": ""}, "ENTRA_TENANT_ID"),
        ({"entra_audience": " , "}, "ENTRA_AUDIENCE"),
        ({"entra_tenant_id": "common"}, "entra_tenant_id"),
        ({"entra_authority": "http://login.example.org"}, "entra_authority"),
        ({"access": "anyone"}, "access"),
    ],
)
def test_settings_by_which_nobody_could_be_told_apart_keep_the_app_from_starting(
    given: dict[str, str], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        settings(**given)
