"""The public keys that Entra ID signs tokens with, kept between requests.

Fetched when a token names a key that is not known, and once an hour, as keys come and go. A stranger, who can
name any key, makes one fetch in half a minute at most; and while nobody answers there, what is known goes on
counting for a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWKClient, PyJWTError

from interfaces.errors import ServiceUnavailable

logger = logging.getLogger(__name__)

Keys = Mapping[str, RSAPublicKey]

FRESH_SECONDS = 3600.0
KEPT_SECONDS = 24 * 3600.0
"""A day, after which clients are to look again:
https://learn.microsoft.com/entra/identity-platform/signing-key-rollover"""
PAUSE_SECONDS = 30.0
"""Between two fetches, whatever tokens name."""
PAUSE_AFTER_FAILURE_SECONDS = 5.0
FETCH_SECONDS = 5.0


class UnknownKey(Exception):
    """No key has this id."""


class SigningKeys:
    """Safe to use from many threads: one of them fetches."""

    def __init__(self, fetch: Callable[[], Keys], clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._next_at = float("-inf")
        self._failed = False

    def get(self, key_id: str) -> RSAPublicKey:
        """The key. Raises `UnknownKey`, and `ServiceUnavailable` where that cannot be known now."""
        known = self._known(key_id)
        if known is not None and self._age() < FRESH_SECONDS:
            return known
        # Who has a key that still counts waits for nobody.
        if self._lock.acquire(blocking=known is None):
            try:
                # Somebody else may have fetched meanwhile.
                due = self._age() >= FRESH_SECONDS or self._known(key_id) is None
                if due and self._clock() >= self._next_at:
                    self._refresh()
            finally:
                self._lock.release()
        # A key that has gone from the set counts no more.
        found = self._known(key_id)
        if found is not None:
            return found
        if self._failed:
            raise ServiceUnavailable("the keys that tokens are signed with cannot be fetched now")
        raise UnknownKey

    def _known(self, key_id: str) -> RSAPublicKey | None:
        return self._keys.get(key_id) if self._age() < KEPT_SECONDS else None

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _refresh(self) -> None:
        try:
            keys = self._fetch()
        except (PyJWTError, ValueError, OSError) as error:
            self._failed = True
            self._next_at = self._clock() + PAUSE_AFTER_FAILURE_SECONDS
            logger.warning("the keys that tokens are signed with cannot be fetched: %s", type(error).__name__)
            return
        self._keys, self._failed = keys, False
        self._fetched_at = self._clock()
        self._next_at = self._fetched_at + PAUSE_SECONDS


def fetching(url: str) -> Callable[[], Keys]:
    """Fetches the set at this address (RFC 7517), for 5 s at most. Keys other than RSA's are left out."""
    client = PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_SECONDS)

    def fetch() -> Keys:
        found = {key.key_id: key.key for key in client.get_signing_keys() if key.key_id is not None}
        return {key_id: key for key_id, key in found.items() if isinstance(key, RSAPublicKey)}

    return fetch
