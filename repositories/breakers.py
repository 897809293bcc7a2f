"""Circuit breakers: a dependency that keeps failing is left alone for a while.

The state is this process's own: each learns for itself, from its own calls, and none has to ask another
before it works. The states and what moves between them are pybreaker's; but its `call` holds a lock while
the guarded function runs, so here the function runs outside of it and only its outcome goes through `call`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from math import inf
from threading import Condition, Lock
from time import monotonic
from typing import NoReturn

import pybreaker

from interfaces.breakers import BreakerState, BreakerStatus
from interfaces.errors import DependencyUnavailable, OrchestratorError, ServiceUnavailable
from interfaces.settings import Settings

logger = logging.getLogger(__name__)

TRIAL_WAIT_SECONDS = 2.0
"""Who comes while another call tries the dependency waits so long for what becomes of it."""

_STATES = {
    pybreaker.STATE_CLOSED: BreakerState.CLOSED,
    pybreaker.STATE_OPEN: BreakerState.OPEN,
    pybreaker.STATE_HALF_OPEN: BreakerState.HALF_OPEN,
}


class Breakers:
    """The breakers of this process, by the name of what they guard."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._breakers: dict[str, Breaker] = {}

    def guard(self, dependency: str, ask: Callable[[], None]) -> Breaker:
        """A breaker for this dependency; call once for each. `ask` raises unless the dependency answers."""
        breaker = Breaker(
            dependency,
            ask,
            failures=self._settings.breaker_failures,
            pause=self._settings.breaker_pause_seconds,
        )
        self._breakers[dependency] = breaker
        return breaker

    def status(self) -> list[BreakerStatus]:
        """Every breaker as it is now, by name."""
        return [self._breakers[name].status() for name in sorted(self._breakers)]


class Breaker:
    """Guards calls of one dependency. Any number of threads.

    Closed, calls pass. `failures` of them in a row open it; so does a single one when the dependency does
    not answer when asked about it. Open, calls are refused for `pause` seconds. Then one call is let
    through: as it ends, the breaker closes or opens again.

    A failure is `ServiceUnavailable`. Any other error of ours is an answer: what was asked for is missing,
    or refused, but the dependency works. Errors that are not ours say nothing about it.
    """

    def __init__(self, dependency: str, ask: Callable[[], None], *, failures: int, pause: float) -> None:
        self.dependency = dependency
        self._ask = ask
        self._pause = pause
        self._storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=pause,
            listeners=[_Log()],
            state_storage=self._storage,
            name=dependency,
            throw_new_error_on_trip=False,
        )
        self._changed = Condition()
        self._asking = Lock()
        self._trying = False
        """A call is out whose end decides whether the breaker closes."""
        self._heard_at = -inf
        """When the dependency last answered anything, in monotonic seconds."""
        self._last_error = ""

    @contextmanager
    def calling(self) -> Iterator[None]:
        """The block calls the dependency.

        Raises `DependencyUnavailable` in place of `ServiceUnavailable` when the dependency is to blame
        rather than this call: the block is not entered while the breaker is open, and what fails in it is
        put down to the dependency unless that still answers others.
        """
        trial = self._admit()
        began = monotonic()
        try:
            yield
        except DependencyUnavailable:
            # Of another dependency, which has a breaker of its own.
            self._abandon(trial)
            raise
        except ServiceUnavailable as error:
            self._failed(trial, error)
            if self._to_blame(trial, began):
                raise self._unavailable(error.detail) from error
            raise
        except OrchestratorError:
            self._answered(trial)
            raise
        except BaseException:
            self._abandon(trial)
            raise
        self._answered(trial)

    def check(self) -> None:
        """Raise `DependencyUnavailable` while the breaker is open; for calls whose end is not seen here."""
        with self._changed:
            if self._state() == pybreaker.STATE_OPEN and self._remaining() > 0:
                raise self._refused()

    def status(self) -> BreakerStatus:
        """The state, as an operator sees it."""
        with self._changed:
            state = _STATES[self._state()]
            return BreakerStatus(
                dependency=self.dependency,
                state=state,
                failures=self._breaker.fail_counter,
                open_until=self._open_until() if state is BreakerState.OPEN else None,
            )

    def _admit(self) -> bool:
        """Whether the call may be made, else raises; true when the breaker's state depends on how it ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._trying, TRIAL_WAIT_SECONDS)
            if self._state() == pybreaker.STATE_CLOSED:
                return False
            if self._trying or self._remaining() > 0:
                raise self._refused()
            self._breaker.half_open()
            self._trying = True
            return True

    def _answered(self, trial: bool) -> None:
        with self._settled(trial) as counts:
            self._heard_at = monotonic()
            if counts:
                self._breaker.call(_nothing)

    def _failed(self, trial: bool, error: ServiceUnavailable) -> None:
        with self._settled(trial) as counts:
            self._last_error = error.detail
            if counts:
                with suppress(ServiceUnavailable):
                    self._breaker.call(_raise, error)

    def _abandon(self, trial: bool) -> None:
        with self._settled(trial):
            pass

    @contextmanager
    def _settled(self, trial: bool) -> Iterator[bool]:
        """A call has ended. Does it count? Not when it began before the breaker opened."""
        with self._changed:
            try:
                yield trial or self._state() == pybreaker.STATE_CLOSED
            finally:
                if trial:
                    self._trying = False
                    self._changed.notify_all()

    def _to_blame(self, trial: bool, began: float) -> bool:
        """Whether it was the dependency's fault that a call failed.

        It was when the breaker has opened meanwhile. Else, and also when the call was the trial, it depends
        on whether the dependency has answered anything since the call began, or does so when asked: where
        only one file is out of order, its task must come to an end.
        """
        if not trial and self._state() != pybreaker.STATE_CLOSED:
            return True
        with self._asking:
            with self._changed:
                if not trial and self._state() != pybreaker.STATE_CLOSED:
                    return True
                if self._heard_at >= began:
                    return False
            try:
                self._ask()
            except ServiceUnavailable:
                with self._changed:
                    if self._state() == pybreaker.STATE_CLOSED:
                        self._breaker.open()
                return True
            except OrchestratorError:
                pass
            # The failure still counts: storage may answer this and fail at everything else.
            self._heard_at = monotonic()
            return False

    def _refused(self) -> DependencyUnavailable:
        return self._unavailable(f"{self.dependency} is not called for now: {self._last_error}")

    def _unavailable(self, detail: str) -> DependencyUnavailable:
        with self._changed:
            remaining = self._remaining() if self._state() == pybreaker.STATE_OPEN else 0.0
        # While a call tries it, the next try is a pause away if that one fails.
        return DependencyUnavailable(detail, dependency=self.dependency, retry_after=remaining or self._pause)

    def _state(self) -> str:
        return self._breaker.current_state

    def _open_until(self) -> datetime | None:
        opened_at = self._storage.opened_at
        return None if opened_at is None else opened_at + timedelta(seconds=self._pause)

    def _remaining(self) -> float:
        until = self._open_until()
        return 0.0 if until is None else max((until - datetime.now(UTC)).total_seconds(), 0.0)


class _Log(pybreaker.CircuitBreakerListener):
    """Tells of each change of state."""

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """Called by pybreaker."""
        level = logging.WARNING if new_state.name == pybreaker.STATE_OPEN else logging.INFO
        before = old_state.name if old_state else "new"
        failures = cb.fail_counter
        logger.log(level, "breaker of %s: %s → %s, %d failures", cb.name, before, new_state.name, failures)


def _nothing() -> None:
    return None


def _raise(error: Exception) -> NoReturn:
    raise error
