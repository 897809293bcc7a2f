"""Which addresses may be called back: what is public, by HTTPS, at a host that somebody allowed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.callback_urls import CallbackPolicy, CallbackRefused
from interfaces.settings import Settings

ALLOWED = "hooks.example.org, *.example.net, other.example.org:8443, 10.0.0.1, 8.8.8.8, [::ffff:127.0.0.1]"


def policy(**settings: object) -> CallbackPolicy:
    return CallbackPolicy(Settings.model_validate({"callback_hosts": ALLOWED, **settings}))


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://hooks.example.org", "https://hooks.example.org/"),
        ("https://HOOKS.example.org:443/a?b=c%20d", "https://hooks.example.org/a?b=c%20d"),
        ("https://hooks.example.org./a", "https://hooks.example.org/a"),
        ("https://a.b.example.net/x", "https://a.b.example.net/x"),
        ("https://other.example.org:8443/x", "https://other.example.org:8443/x"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
    ],
)
def test_a_url_of_an_allowed_host_is_taken_in_its_normal_form(url: str, sent: str) -> None:
    assert str(policy().url(url)) == sent


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.org/", "https://"),
        ("ftp://hooks.example.org/", "absolute https URL"),
        ("//hooks.example.org/", "absolute https URL"),
        ("hooks.example.org/", "absolute https URL"),
        ("https:///path", "absolute https URL"),
        ("https://example.org/", "CALLBACK_HOSTS"),
        ("https://example.net/", "CALLBACK_HOSTS"),
        ("https://notexample.net/", "CALLBACK_HOSTS"),
        ("https://a.example.net:8443/", "CALLBACK_HOSTS"),
        ("https://hooks.example.org:22/", "CALLBACK_HOSTS"),
        ("https://other.example.org/", "CALLBACK_HOSTS"),
        ("https://hooks.example.org.evil.example/", "CALLBACK_HOSTS"),
        ("https://hooks.example.org@evil.example/", "user name"),
        ("https://user:pass@hooks.example.org/", "user name"),
        ("https://evil.example\\@hooks.example.org/", "RFC 3986"),
        ("https://evil.example#@hooks.example.org/", "user name|fragment|CALLBACK_HOSTS"),
        ("https://hooks.example.org/#there", "fragment"),
        ("https://hooks.example.org/\r\nHost: evil", "RFC 3986"),
        ("https://hooks.exam\tple.org/", "RFC 3986"),
        ("https://hooks.example.org/ü", "RFC 3986"),
        ("https://hooks.example.org:0/", "port"),
        ("https://hooks.example.org:99999/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "neither a name"),
        ("https://a..example.net/", "neither a name"),
        ("https://.example.net/", "neither a name"),
        (f"https://{'a' * 64}.example.net/", "neither a name"),
        (f"https://{'a.' * 125}example.net/", "neither a name"),
        ("https://hooks.example.org/" + "a" * 2000, "2000 characters"),
        ("https://10.0.0.1/", "not a public address"),
        ("https://[::ffff:127.0.0.1]/", "not a public address"),
    ],
)
def test_any_other_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(CallbackRefused, match=reason):
        policy().url(url)


def test_without_a_list_of_hosts_none_is_called() -> None:
    with pytest.raises(CallbackRefused, match="callbacks are off: the setting CALLBACK_HOSTS names no host"):
        policy(callback_hosts=" , ").url("https://hooks.example.org/")


def test_http_needs_a_setting_of_its_own() -> None:
    assert (
        str(policy(callback_allow_http=True).url("http://hooks.example.org/")) == "http://hooks.example.org/"
    )


PRIVATE = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
NEVER = [
    "0.0.0.0",
    "169.254.169.254",  # the metadata service of most clouds
    "168.63.129.16",  # Azure's own
    "100.64.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "3fff::1",
    "::ffff:169.254.169.254",
    "::ffff:168.63.129.16",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2002:a83f:8110::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo of 169.254.169.254
]


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_an_address_that_is_not_public_is_refused_however_it_is_written(address: str) -> None:
    with pytest.raises(CallbackRefused):
        policy().address(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_called(address: str) -> None:
    policy().address(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_a_setting_lets_private_addresses_through(address: str) -> None:
    policy(callback_allow_private=True).address(ip_address(address))


@pytest.mark.parametrize("address", NEVER)
def test_and_lets_nothing_else_through(address: str) -> None:
    with pytest.raises(CallbackRefused):
        policy(callback_allow_private=True).address(ip_address(address))


@given(st.text(max_size=60))
def test_whatever_comes_is_taken_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://hooks.example.org{text}"):
        try:
            taken = policy().url(url)
        except CallbackRefused:
            continue
        assert str(policy().url(str(taken))) == str(taken)
        assert taken.host in {"hooks.example.org", "other.example.org", "8.8.8.8"} or taken.host.endswith(
            ".example.net"
        )
