"""The address that a client knows is told from the request and from what proxies say."""

from __future__ import annotations

import pytest

from triggers.http.forwarding import Address, public_address

ASKED = "http://10.0.0.4:8080/api/stac"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Address("http", "10.0.0.4:8080", "")),
        ({"host": "app.example"}, Address("http", "app.example", "")),
        ({"host": "app.example:80"}, Address("http", "app.example", "")),
        ({"host": "app.example", "x-forwarded-proto": "https"}, Address("https", "app.example", "")),
        ({"host": "[::1]:7071"}, Address("http", "[::1]:7071", "")),
        (
            {"host": "inside", "x-forwarded-proto": "https", "x-forwarded-host": "a.example:8443"},
            Address("https", "a.example:8443", ""),
        ),
        (
            {"x-forwarded-proto": "https, http", "x-forwarded-host": "a.example, inside"},
            Address("https", "a.example", ""),
        ),
        (
            {"x-forwarded-proto": "https", "x-forwarded-host": "a.example", "x-forwarded-port": "8443"},
            Address("https", "a.example:8443", ""),
        ),
        (
            {"x-forwarded-proto": "https", "x-forwarded-host": "a.example", "x-forwarded-port": "443"},
            Address("https", "a.example", ""),
        ),
        ({"host": "a", "x-forwarded-prefix": "/geo/v1/"}, Address("http", "a", "/geo/v1")),
        (
            {"host": "a", "forwarded": "for=1.2.3.4;proto=https;host=b.example"},
            Address("https", "b.example", ""),
        ),
        (
            {"host": "a", "forwarded": 'For="[::1]:99"; Host="b.example:8443"; Proto=HTTPS, host=inside'},
            Address("https", "b.example:8443", ""),
        ),
        (
            {"host": "a", "forwarded": "host=b.example", "x-forwarded-host": "c.example"},
            Address("http", "b.example", ""),
        ),
        ({"host": "a", "forwarded": "for=1.2.3.4", "x-forwarded-host": "c"}, Address("http", "c", "")),
    ],
)
def test_the_address_is_the_one_that_the_client_asked(headers: dict[str, str], expected: Address) -> None:
    assert public_address(ASKED, headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "b.example/path"},
        {"x-forwarded-host": "user@b.example"},
        {"x-forwarded-host": 'b"><script>'},
        {"x-forwarded-proto": "javascript"},
        {"x-forwarded-prefix": "//b.example"},
        {"x-forwarded-prefix": "geo"},
        {"x-forwarded-prefix": "/a b"},
        {"x-forwarded-prefix": "/../x"},
        {"x-forwarded-prefix": "/a/%2e%2E"},
        {"x-forwarded-prefix": "/./x"},
        {"forwarded": "host=b.example/path"},
        {"forwarded": 'host="unfinished'},
        {"forwarded": ";;,,=="},
    ],
)
def test_what_is_no_host_scheme_or_path_is_passed_over(headers: dict[str, str]) -> None:
    assert public_address(ASKED, {"host": "a", **headers}) == Address("http", "a", "")
