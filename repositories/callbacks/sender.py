"""Sends callbacks over HTTP, to the very addresses that were checked.

Names are resolved here and nowhere else: the address that is checked is the one that is connected to,
whatever the name resolves to a moment later. No proxy of the environment is used, no redirect followed, no
answer read beyond its head, and TLS names and verifies the host, not the address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from interfaces.callback_urls import CallbackPolicy, CallbackRefused, CallbackUrl
from interfaces.callbacks import CallbackSession, Delivery, DueCallback
from interfaces.settings import Settings

from .messages import event_body, signature_headers

if TYPE_CHECKING:
    import httpcore

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Every address of a host, as text."""

RESOLVERS = 64
"""Threads that wait for name servers: a name that hangs keeps one of them for a while."""
LONGEST_RETRY_AFTER = 6 * 3600.0
GONE = 410
"""The receiver wants nothing more: Standard Webhooks, "Operational considerations"."""


class HttpCallbackSender:
    """Makes sessions. `resolve` and `tls` take the place of the system's resolver and its trusted roots."""

    def __init__(
        self, settings: Settings, *, resolve: Resolve | None = None, tls: SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._policy = CallbackPolicy(settings)
        self._resolve = resolve
        self._tls = tls

    @asynccontextmanager
    async def session(self) -> AsyncIterator[CallbackSession]:
        """Sends until the block ends; connections are not kept."""
        import httpcore

        resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="callback_names")
        backend = _checked_backend(self._policy, self._resolve or _system_resolver(resolvers))
        if self._tls is None:
            self._tls = _trusting()
        try:
            async with httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                network_backend=backend,
                max_connections=None,
                max_keepalive_connections=0,
            ) as pool:
                yield _Session(pool, self._settings, self._policy)
        finally:
            resolvers.shutdown(wait=False, cancel_futures=True)


class _Session:
    def __init__(
        self, pool: httpcore.AsyncConnectionPool, settings: Settings, policy: CallbackPolicy
    ) -> None:
        self._pool = pool
        self._source = settings.callback_source
        self._seconds = settings.callback_seconds
        self._secrets = settings.callback_secret.get_secret_value().split()
        self._policy = policy

    async def send(self, callback: DueCallback) -> Delivery:
        """One attempt within `callback_seconds`; what goes wrong is its answer."""
        import httpcore

        secrets = [callback.secret] if callback.secret is not None else self._secrets
        try:
            # Again, since the settings may have changed since it was asked for.
            url = self._policy.url(callback.url)
            if not secrets:
                raise CallbackRefused("the setting CALLBACK_SECRET is empty")
            async with asyncio.timeout(self._seconds):
                status, headers = await self._post(url, callback, secrets)
        except CallbackRefused as refused:
            return Delivery("dead", error=f"not sent: {refused}")
        except TimeoutError:
            return Delivery("retry", error=f"no answer within {self._seconds:g} s")
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return Delivery("retry", error=f"{type(error).__name__}: {error}".rstrip(": ")[:500])
        except Exception as error:  # noqa: BLE001 - as a malformed secret: that callback's failure, and no other's
            return Delivery(
                "retry", error=f"not sent: {type(error).__name__}: {_without(secrets, str(error))}"
            )
        return _judged(status, headers)

    async def _post(
        self, url: CallbackUrl, callback: DueCallback, secrets: list[str]
    ) -> tuple[int, dict[bytes, bytes]]:
        import httpcore

        body = event_body(callback, self._source)
        headers = {
            "Host": url.authority,
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "Content-Length": str(len(body)),
            "User-Agent": "geospatial-orchestrator",
            "Connection": "close",
            **signature_headers(callback, body, secrets, datetime.now(UTC)),
        }
        target = httpcore.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
        )
        async with self._pool.stream("POST", target, headers=list(headers.items()), content=body) as response:
            return response.status, {name.lower(): value for name, value in response.headers}


def _without(secrets: Iterable[str], text: str) -> str:
    """What an error says, if it quotes none of what it was about: a secret, or its base64."""
    for secret in secrets:
        for part in (secret, secret.removeprefix("whsec_")):
            text = text.replace(part, "***") if part else text
    return text.replace("\0", "")[:500]


def _judged(status: int, headers: dict[bytes, bytes]) -> Delivery:
    if 200 <= status < 300:
        return Delivery("delivered", status)
    if status == GONE:
        return Delivery("dead", status, "the receiver wants no more of them (410)")
    if 300 <= status < 400:
        return Delivery("retry", status, f"answered {status}; redirects are not followed")
    asked = headers.get(b"retry-after", b"")
    seconds = float(asked[:10]) if asked.isdigit() else 0.0
    return Delivery("retry", status, f"answered {status}", min(seconds, LONGEST_RETRY_AFTER))


def _checked_backend(policy: CallbackPolicy, resolve: Resolve) -> httpcore.AsyncNetworkBackend:
    """Made here, since its base class is loaded only when something is sent."""
    import httpcore

    class CheckedBackend(httpcore.AnyIOBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 - as its base has it
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore.AsyncNetworkStream:
            addresses = await resolve(host, port)
            for address in addresses:
                policy.address(ip_address(address))
            failed: Exception = httpcore.ConnectError(f"{host} has no address")
            for address in addresses:
                try:
                    return await super().connect_tcp(address, port, timeout, local_address, socket_options)
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failed = error
            raise failed

    return CheckedBackend()


def _system_resolver(threads: ThreadPoolExecutor) -> Resolve:
    async def resolve(host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

    return resolve


def _trusting() -> SSLContext:
    """The system's roots, or those that `SSL_CERT_FILE` names, and Mozilla's."""
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
