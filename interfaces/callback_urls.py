"""Which addresses the app calls: hosts that are allowed, by HTTPS, at public addresses. Resolves nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from .settings import Settings

MAX_URL_CHARACTERS = 2000
DEFAULT_PORTS = {"https": 443, "http": 80}
NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
"""RFC 1035, section 2.3.4: what is longer, resolvers do not even take."""
TARGET = re.compile(r"[!-~]*")

Address = IPv4Address | IPv6Address

AZURE_PLATFORM = IPv4Address("168.63.129.16")
"""Public by its number, and the platform's own, seen from inside only:
https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16"""
SPECIAL = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3fff::/20"),
    # Translation within a network, whose operator chooses where in it the IPv4 address stands (RFC 8215).
    IPv6Network("64:ff9b:1::/48"),
)
"""Of the special-purpose registries (RFC 6890), what some versions of Python take for global."""
NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
IPV4_COMPATIBLE = IPv6Network("::/96")
"""RFC 4291, section 2.5.5.1."""
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""https://www.iana.org/assignments/ipv6-address-space"""
OWN_NETWORKS = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("127.0.0.0/8"),
    IPv6Network("fc00::/7"),
    IPv6Network("::1/128"),
)
"""RFC 1918, RFC 4193, and loopback: what `CALLBACK_ALLOW_PRIVATE` lets through, and nothing else."""


@dataclass(frozen=True)
class CallbackUrl:
    """A URL in the parts that are sent: the client reads nothing out of its text again."""

    scheme: str
    host: str
    """A name, or an address without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """Host and port as in the `Host` header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


class CallbackRefused(ValueError):
    """Why an address is not called, in words that say what to change."""


class CallbackPolicy:
    """What the settings allow."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = [entry.strip().lower() for entry in settings.callback_hosts.split(",") if entry.strip()]
        self._schemes = ("https", "http") if settings.callback_allow_http else ("https",)
        self._private = settings.callback_allow_private

    def url(self, text: str) -> CallbackUrl:
        """The URL, if it may be called. Raises `CallbackRefused`."""
        if not self._hosts:
            raise CallbackRefused("callbacks are off: the setting CALLBACK_HOSTS names no host")
        url = _parsed(text)
        if url.scheme not in self._schemes:
            raise CallbackRefused(f"must begin with {' or '.join(f'{s}://' for s in self._schemes)}")
        if not any(_allows(entry, url) for entry in self._hosts):
            raise CallbackRefused("its host is not among those that the setting CALLBACK_HOSTS names")
        literal = _literal(url.host)
        if literal is not None:
            self.address(literal)
        return url

    def address(self, address: Address) -> None:
        """Raises `CallbackRefused` for an address that is not a public one."""
        real = _embedded(address)
        if real.is_multicast or real.is_link_local or real.is_unspecified or real == AZURE_PLATFORM:
            raise CallbackRefused(f"{address} is never called")
        own = any(real in network for network in OWN_NETWORKS)
        public = real.is_global and not any(real in network for network in SPECIAL)
        if isinstance(real, IPv6Address):
            public = public and real in GLOBAL_UNICAST
        if not (public or (own and self._private)):
            raise CallbackRefused(f"{address} is not a public address")


def _parsed(text: str) -> CallbackUrl:
    if len(text) > MAX_URL_CHARACTERS:
        raise CallbackRefused(f"must have at most {MAX_URL_CHARACTERS} characters")
    # Before `urlsplit`, which drops tabs and line breaks.
    if not TARGET.fullmatch(text) or "\\" in text:
        raise CallbackRefused("must be a URL of printable ASCII characters, as RFC 3986 has it")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise CallbackRefused("is not a URL") from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise CallbackRefused("must be an absolute https URL")
    if "@" in parts.netloc:
        raise CallbackRefused("must hold no user name or password")
    if "#" in text:
        raise CallbackRefused("must hold no fragment")
    host = host.removesuffix(".")
    if not (NAME.fullmatch(host) or isinstance(_literal(host), IPv6Address)) or "%" in host:
        raise CallbackRefused("its host is neither a name (in ASCII form) nor an address")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if port == 0:
        raise CallbackRefused("its port must be between 1 and 65535")
    return CallbackUrl(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], target)


def _allows(entry: str, url: CallbackUrl) -> bool:
    """An entry is a host, or `*.` and a domain; with `:port` where that is not the usual one."""
    if url.authority == entry:
        return True
    domain = entry.removeprefix("*")
    return domain != entry and domain.startswith(".") and url.authority.endswith(domain)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and address in NAT64:
        inner = low
    if inner is None and address in IPV4_COMPATIBLE and int(low) > 1:
        inner = low
    return inner or address
