"""The address under which a client knows this app: what it asked, or what the proxy before it was asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

HEADERS = {
    *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port"),
    *("x-forwarded-prefix", "x-forwarded-proto"),
}
"""What proxies say; settled here, so that nobody reads it a second time."""
PAIR = re.compile(r'\s*([a-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*(;|,|$)', re.IGNORECASE)
HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%-]+)+")
PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Address:
    """`host` has a port unless it is the scheme's own; `prefix` is the path that a proxy took away, or ""."""

    scheme: str
    host: str
    prefix: str


def public_address(url: str, headers: Mapping[str, str]) -> Address:
    """Of a request for this URL. `headers` by lower-case names.

    `Forwarded` (RFC 7239) goes before `X-Forwarded-*`; of several proxies the first, which the client asked,
    counts. What is no host, scheme or path is passed over. `X-Forwarded-Prefix` is honoured beside both.
    """
    asked = urlsplit(url)
    forwarded = _first_element(headers.get("forwarded", ""))
    proto = forwarded.get("proto") or _first(headers, "x-forwarded-proto")
    scheme = proto.lower() if proto.lower() in PORTS else asked.scheme
    host = forwarded.get("host") or _forwarded_host(headers)
    if not HOST.fullmatch(host):
        host = headers.get("host", "")
    if not HOST.fullmatch(host):
        host = asked.netloc
    prefix = _prefix(_first(headers, "x-forwarded-prefix").rstrip("/"))
    return Address(scheme, host.removesuffix(f":{PORTS[scheme]}"), prefix)


def _prefix(path: str) -> str:
    """Without dots, which a client would resolve to another path."""
    dots = {".", ".."} & set(unquote(path).split("/"))
    return path if PREFIX.fullmatch(path) and not dots else ""


def _forwarded_host(headers: Mapping[str, str]) -> str:
    host, port = _first(headers, "x-forwarded-host"), _first(headers, "x-forwarded-port")
    named = re.search(r":[0-9]+$", host) is not None
    return f"{host}:{port}" if host and port and not named else host


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").split(",")[0].strip()


def _first_element(text: str) -> dict[str, str]:
    """The parameters of the first proxy in a `Forwarded` header, by lower-case names."""
    found: dict[str, str] = {}
    for pair in PAIR.finditer(text):
        quoted, plain = pair[2], pair[3]
        found[pair[1].lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if pair[4] != ";":
            break
    return found
