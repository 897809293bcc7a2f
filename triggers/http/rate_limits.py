"""How many requests a caller may make: counted in this process, for each caller, of changes and of reads.

An instance knows of its own requests only: a limit of 100 on three instances lets up to 300 pass. That keeps
one caller from taking all of an instance, which is what it is for; a quota that the whole app counts together
belongs to a gateway in front of it (docs/adr/0023).
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal

from interfaces.errors import TooManyRequests
from interfaces.settings import Settings

from .requests import Request

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

SAFE = {"GET", "HEAD", "OPTIONS"}
MOST_CALLERS = 10_000
"""Whose windows are kept at once; of more, those that began first are forgotten."""
WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):\d+")

Kind = Literal["changes", "reads"]


class RateLimits:
    """The limits of one process. Safe to ask from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._allowed: dict[Kind, str] = {
            "changes": settings.rate_limit_changes,
            "reads": settings.rate_limit_reads,
        }
        self._lock = threading.Lock()
        self._counted: _Counted | None = None

    def admit(self, request: Request, *, by_key: bool) -> None:
        """Count a request of its caller, who is known by a key where the host has looked at it (`by_key`).

        Raises `TooManyRequests` with the time after which the window ends that is full.
        """
        kind: Kind = "reads" if request.method in SAFE else "changes"
        if not self._allowed[kind]:
            return
        counted = self._counting()
        who = (by_key and _key(request)) or _address(request)
        for item in counted.items[kind]:
            if not counted.strategy.hit(item, kind, who):
                ends = counted.strategy.get_window_stats(item, kind, who).reset_time
                raise TooManyRequests(
                    f"more than {item.amount} {kind} in {item.get_expiry()} s from the same caller",
                    retry_after=max(1.0, ends - time.time()),
                )

    def _counting(self) -> _Counted:
        """Made at the first request: the library takes longer to load than all of a request."""
        with self._lock:
            if self._counted is None:
                self._counted = _Counted(self._allowed)
            return self._counted


def _key(request: Request) -> str:
    """The key that the host let in, as its hash; empty where there is none."""
    # Where a name comes twice, its values arrive joined by commas: the host has looked at the first.
    key = (request.headers.get("x-functions-key") or request.given({"code"})).partition(",")[0]
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest() if key else ""


def _address(request: Request) -> str:
    """Where the request came from.

    The front end adds the address that it saw to the end of `X-Forwarded-For`; what stands before that is the
    client's own invention.
    """
    seen = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:100]
    with_port = WITH_PORT.fullmatch(seen)
    text = (with_port[1] if with_port else seen).strip("[]")
    try:
        address = ip_address(text)
    except ValueError:
        return f"address {text}"
    # Whoever has one address of version 6 has at least 2^64 of them (RFC 6177).
    return f"address {ip_network((address, 64), strict=False) if address.version == 6 else address}"


@dataclass
class _Counted:
    allowed: dict[Kind, str]
    items: dict[Kind, list[RateLimitItem]] = field(init=False)
    strategy: FixedWindowRateLimiter = field(init=False)

    def __post_init__(self) -> None:
        from limits import parse_many
        from limits.strategies import FixedWindowRateLimiter

        self.items = {kind: parse_many(text) if text else [] for kind, text in self.allowed.items()}
        self.strategy = FixedWindowRateLimiter(_windows())


def _windows() -> Any:
    from limits.storage import Storage

    class Windows(Storage):
        """Counts in this process, of so many windows at most.

        The library's own storage in memory starts a thread at almost every request, which tidies up, and has
        no bound.
        """

        def __init__(self) -> None:
            super().__init__()
            self._lock = threading.Lock()
            self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

        @property
        def base_exceptions(self) -> type[Exception]:
            return ValueError

        def incr(self, key: str, expiry: int, amount: int = 1) -> int:
            with self._lock:
                count, ends = self._windows.get(key, (0, 0.0))
                now = time.time()
                if ends <= now:
                    # Behind all others, which began before it.
                    self._windows.pop(key, None)
                    count, ends = 0, now + expiry
                self._windows[key] = (count + amount, ends)
                if len(self._windows) > MOST_CALLERS:
                    self._windows.popitem(last=False)
                return count + amount

        def get(self, key: str) -> int:
            count, ends = self._windows.get(key, (0, 0.0))
            return count if ends > time.time() else 0

        def get_expiry(self, key: str) -> float:
            return self._windows.get(key, (0, time.time()))[1]

        def check(self) -> bool:
            return True

        def reset(self) -> int:
            with self._lock:
                count = len(self._windows)
                self._windows.clear()
                return count

        def clear(self, key: str) -> None:
            with self._lock:
                self._windows.pop(key, None)

    return Windows()
