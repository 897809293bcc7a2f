"""Error texts as they are stored and shown: no key, no password, no signature, no token."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.redaction import describe, redact
from interfaces.errors import PermanentTaskError

SECRET = "s3cr3t+/Val=="

SECRETS = {
    "storage connection string": (
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={SECRET};EndpointSuffix=core.windows.net"
    ),
    "connection string with a signature": (
        f"BlobEndpoint=https://acme.blob.core.windows.net;SharedAccessSignature=sv=2022&sig={SECRET}"
    ),
    "service bus": f"Endpoint=sb://acme/;SharedAccessKeyName=root;SharedAccessKey={SECRET}",
    "signature in a URL": f"https://acme.blob.core.windows.net/c/b.tif?sv=2022-11-02&se=2024&sig={SECRET}",
    "signature first in a URL": f"https://acme.blob.core.windows.net/c/b.tif?sig={SECRET}&sv=2022-11-02",
    "function key in a URL": f"GET https://acme.azurewebsites.net/api/x?code={SECRET} failed",
    "function key in a header": f"x-functions-key: {SECRET}",
    "database URL": f"postgresql://app:{SECRET.replace('/', '_')}@db.example.org:5432/app",
    "database URL with an at sign in its password": "postgresql://app:s3cr3t@more@db.example.org/app",
    "database URL without a user": "redis://:s3cr3t@cache.example.org",
    "proxy URL": "cannot reach http://me:s3cr3t@proxy:3128/",
    "conninfo": f"host=db user=app password={SECRET} dbname=app",
    "conninfo with quotes": "host=db password='my s3cr3t here' dbname=app",
    "conninfo with spaces": "host=db password = s3cr3t dbname=app",
    "conninfo with a comma": "host=db password=ab,s3cr3t dbname=app",
    "conninfo with an ampersand": "host=db password=ab&s3cr3t dbname=app",
    "environment": f"PGPASSWORD={SECRET} DB_PASSWORD={SECRET} CLIENT_SECRET={SECRET}",
    "ADO": "Server=db;User Id=app;Pwd=s3cr3t;Encrypt=true",
    "JSON": '{"user": "app", "password": "s3cr3t and more", "n": 1}',
    "JSON in a string": '"{\\"password\\": \\"s3cr3t\\"}"',
    "Python": "{'user': 'app', 'password': 's3cr3t'}",
    "access token": f"access_token={SECRET}&refresh_token={SECRET}",
    "bearer": f"Authorization: Bearer {SECRET}",
    "basic": "Authorization: Basic czNjcjN0OnMzY3IzdA==",
    "shared key": f"Authorization: SharedKey acme:{SECRET}",
    "JSON web token within a word": "x_eyJhbGciOiJub25l.eyJzdWIiOiJzM2NyM3Qi.c2lnbmF0dXJl",
    "JSON web token with a key in its head": "eyJqd2siOeyJrIjeyJ4.eyJzdWIiOiJzM2NyM3Qi.c2lnbmF0dXJl",
    "JSON web token": "token eyJhbGciOiJub25l.eyJzdWIiOiJzM2NyM3Qi.c2lnbmF0dXJl was refused",
    "API Management": f"Ocp-Apim-Subscription-Key: {SECRET}",
    "function key as JSON": f'{{"functionKey": "{SECRET}"}}',
    "webhook secret": "callback_secret whsec_czNjcjN0czNjcjN0czNjcjN0 is too short",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nczNjcjN0czNjcjN0\n-----END RSA PRIVATE KEY-----",
    "any case": f"ACCOUNTKEY={SECRET};PASSWORD={SECRET}",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_hidden_however_it_is_written_down(text: str) -> None:
    shown = redact(text)
    assert "***" in shown
    for part in ("s3cr3t", SECRET, "more@", "czNjcjN0", "eyJzdWIi"):
        assert part not in shown


@pytest.mark.parametrize(
    "text",
    [
        "storage answered 403 AuthorizationFailure for container 'bronze'",
        "https://acme.blob.core.windows.net/bronze/a/b.tif?snapshot=2024-05-01T00:00:00Z",
        "http://localhost:8080/a@b",
        "gdalwarp ended with code=3, signal=9",
        "metadata_level: Input should be 'basic', 'standard' or 'full'; basic standard",
        "design: significant; sigma=3; tokens: 5",
        "primary key=fid; keys=2; whsec_short; monkey=1",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/keys.tif'",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_is_around_a_secret_stays_readable() -> None:
    assert redact(SECRETS["storage connection string"]) == (
        "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=***;EndpointSuffix=core.windows.net"
    )
    assert redact("postgresql://app:x@db:5432/app?sslmode=require") == (
        "postgresql://app:***@db:5432/app?sslmode=require"
    )


@given(st.sampled_from(sorted(SECRETS.values())), st.text(), st.text())
def test_redacting_again_changes_nothing(secret: str, before: str, after: str) -> None:
    once = redact(f"{before} {secret} {after}")
    assert redact(once) == once


@given(st.text(max_size=300), st.integers(1, 200))
def test_a_text_is_at_most_as_long_as_allowed(text: str, limit: int) -> None:
    assert len(redact(text, limit)) <= limit


def test_a_text_that_was_cut_says_so() -> None:
    assert redact("x" * 6000) == "x" * 4999 + "…"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a.",
        "a=",
        "://a:",
        "password=",
        "'",
        '\\"',
        "eyJ",
        "eyJ-",
        "eyJaaaaaaaa.",
        "eyJaaaaaaaa.bbbbbbbb",
        "sig=a&",
        "bearer ",
        "whsec_",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_long_texts_do_not_take_long(unit: str) -> None:
    began = time.thread_time()
    redact(unit * (50_000 // len(unit)))
    assert time.thread_time() - began < 2


def test_an_error_is_described_by_its_type_and_text() -> None:
    assert describe(ValueError("too wide")) == "ValueError: too wide"
    assert describe(KeyError("width")) == "KeyError: 'width'"


def test_an_error_of_ours_needs_no_type() -> None:
    assert describe(PermanentTaskError("no such blob")) == "no such blob"


def test_a_description_holds_no_secret_and_is_not_too_long() -> None:
    text = describe(OSError(f"password={SECRET} " + "x" * 9000))
    assert text.startswith("OSError: password=*** xxx")
    assert len(text) == 5000


def test_a_description_can_be_stored() -> None:
    assert "\0" not in describe(OSError("a\0b"))
    describe(OSError("caf\udce9.tif")).encode()


def test_a_long_text_that_begins_like_tokens_all_along_is_cut_in_time() -> None:
    began = time.process_time()
    assert len(redact("eyJ-" * 250_000)) == 5000
    assert time.process_time() - began < 3
