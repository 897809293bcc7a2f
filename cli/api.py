"""Calls the HTTP API, and turns what it refuses into words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

Document = dict[str, Any]

ANSWER_SECONDS = 100.0
"""The API answers within 60 s of waiting, and some."""
PATIENCE_SECONDS = 60.0
"""How long reads are repeated while the app does not answer, as during a deployment."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0


class Refused(Exception):
    """The API says no; the text is its problem document in one line."""


class Unreachable(Exception):
    """The API does not answer, or not now."""


class Api:
    """One app. Raises `Refused` and `Unreachable`."""

    def __init__(
        self, url: str, key: str, transport: httpx.BaseTransport | None = None, *, token: str = ""
    ) -> None:
        given = {
            "x-functions-key": _secret("key", key),
            "Authorization": token and f"Bearer {_secret('token', token)}",
        }
        headers = {name: value for name, value in given.items() if value}
        # Only this address: a proxy of the environment or a redirect must see neither key nor token.
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False, transport=transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, *segments: str, **query: str | None) -> Document:
        """A document. Asked for again for a minute while the app does not answer."""
        return _document(self._patiently("GET", _path(segments), query))

    def post(self, *segments: str, body: object = None, repeat: bool = True, **query: str | None) -> Document:
        """Change something; asked for again, as reads are, unless twice would be more than once."""
        ask = self._patiently if repeat else self._ask
        return _document(ask("POST", _path(segments), query, body))

    def delete(self, *segments: str) -> None:
        """Remove something."""
        self._ask("DELETE", _path(segments), {}, None)

    def pages(self, *segments: str, **query: str | None) -> Iterator[bytes]:
        """Bodies of a download and of what follows it, in order."""
        address, given = _path(segments), query
        while True:
            response = self._patiently("GET", address, given)
            yield response.content
            following = response.links.get("next", {}).get("url")
            if following is None:
                return
            address, given = following, {}

    def _patiently(
        self, method: str, address: str, query: dict[str, str | None], body: object = None
    ) -> httpx.Response:
        end, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE
        while True:
            try:
                return self._ask(method, address, query, body)
            except Unreachable:
                if time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _ask(self, method: str, address: str, query: dict[str, str | None], body: object) -> httpx.Response:
        given = {name: value for name, value in query.items() if value is not None}
        with _told():
            if body is None:
                response = self._client.request(method, address, params=given or None)
            else:
                response = self._client.request(method, address, params=given or None, json=body)
        if response.status_code in (429, 502, 503, 504):
            raise Unreachable(_problem(response))
        if response.status_code >= 300:
            raise Refused(_problem(response))
        return response


def _document(response: httpx.Response) -> Document:
    try:
        document: object = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    asked = f"{response.request.method} {response.request.url.path}"
    raise Refused(f"{asked}: {response.status_code}, but not with JSON: is --url the app's?")


def _secret(name: str, value: str) -> str:
    """What can stand in a header; of what cannot, libraries quote all in what they raise."""
    value = value.strip()
    if not all("!" <= character <= "~" for character in value):
        raise Refused(f"--{name}: must be printable ASCII without blanks")
    return value


def _path(segments: tuple[str, ...]) -> str:
    return "/".join(["/api", *(quote(segment, safe="") for segment in segments)])


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise Refused(f"--url: {error}") from error
    except httpx.UnsupportedProtocol as error:
        raise Refused(f"--url: {error}") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error


def _problem(response: httpx.Response) -> str:
    """The reason, by field where there are some (RFC 9457)."""
    if response.status_code in (401, 403) and not response.content:
        return (
            f"{response.status_code}: the key is missing or wrong (--key, or ORCHESTRATOR_KEY); where the app"
            " asks for an identity, its token (--token, or ORCHESTRATOR_TOKEN)"
        )
    try:
        document = response.json()
    except ValueError:
        return f"{response.status_code} {response.reason_phrase}"
    if not isinstance(document, dict) or "title" not in document:
        return f"{response.status_code} {response.reason_phrase}"
    errors = [f"{error['field']}: {error['reason']}" for error in document.get("errors", [])]
    return f"{document['title']}: " + ("; ".join(errors) or str(document.get("detail", "")))
