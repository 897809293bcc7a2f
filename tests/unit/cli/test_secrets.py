"""A key or a token goes to the app, and nowhere else."""

from __future__ import annotations

import httpx
import pytest
from click.testing import CliRunner, Result

from cli.commands import Session, main

TOKEN = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """What was asked of an app that lets nobody in."""
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        problem = {"title": "Not authenticated", "detail": "the token does not hold: it has expired"}
        return httpx.Response(401, json=problem)

    monkeypatch.setattr(Session, "transport", httpx.MockTransport(refuse))
    return requests


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, [*words, "types"], env=environment)


@pytest.mark.parametrize("by_option", [True, False])
def test_the_token_is_sent_and_never_shown(asked: list[httpx.Request], by_option: bool) -> None:
    done = run("--token", TOKEN) if by_option else run(ORCHESTRATOR_TOKEN=f"{TOKEN}\n")
    assert asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "x-functions-key" not in asked[0].headers
    assert (done.exit_code, done.output) == (
        5,
        "Not authenticated: the token does not hold: it has expired\n",
    )


def test_without_a_token_none_is_sent(asked: list[httpx.Request]) -> None:
    run("--key", "k", ORCHESTRATOR_TOKEN="")
    assert "authorization" not in asked[0].headers
    assert asked[0].headers["x-functions-key"] == "k"


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "schlüssel", "nul\x00"])
@pytest.mark.parametrize("option", ["--key", "--token"])
def test_what_cannot_be_sent_is_refused_without_being_quoted(
    asked: list[httpx.Request], option: str, secret: str
) -> None:
    """Libraries quote a header that is not allowed in what they raise."""
    done = run(option, secret)
    assert (done.exit_code, done.output) == (5, f"{option}: must be printable ASCII without blanks\n")
    assert asked == []


def test_help_shows_no_secret_of_the_environment() -> None:
    done = run("--help", ORCHESTRATOR_TOKEN=TOKEN, ORCHESTRATOR_KEY="a-key")
    assert TOKEN not in done.output
    assert "a-key" not in done.output
