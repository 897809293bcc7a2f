"""A breaker opens, lets one call try, and closes; and tells whose fault a failure was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.errors import AccessDenied, BlobNotFound, DependencyUnavailable, ServiceUnavailable
from interfaces.settings import Settings
from repositories import breakers
from repositories.breakers import Breaker, Breakers

PAUSE = 0.15


class Storage:
    """A dependency: what its calls raise, and what it raises when it is asked whether it answers."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.down = False
        self.calls = 0
        self.asked = 0

    def call(self) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        if self.down:
            raise ServiceUnavailable("no answer")
        return "data"

    def ask(self) -> None:
        self.asked += 1
        if self.down:
            raise ServiceUnavailable("no answer")


@pytest.fixture
def storage() -> Storage:
    return Storage()


def breaker_of(storage: Storage, *, failures: int = 3, pause: float = PAUSE) -> Breaker:
    return Breaker("blob", storage.ask, failures=failures, pause=pause)


def use(breaker: Breaker, storage: Storage) -> str:
    with breaker.calling():
        return storage.call()


def fail(breaker: Breaker, storage: Storage, times: int) -> list[str]:
    """Call so often; answers what was raised."""
    raised = []
    for _ in range(times):
        with pytest.raises(ServiceUnavailable) as caught:
            use(breaker, storage)
        raised.append(type(caught.value).__name__)
    return raised


def open_(breaker: Breaker, storage: Storage) -> None:
    storage.down = True
    fail(breaker, storage, 1)
    assert breaker.status().state == "open"


def test_while_calls_succeed_nothing_is_asked_and_everything_passes(storage: Storage) -> None:
    breaker = breaker_of(storage)
    assert [use(breaker, storage) for _ in range(10)] == ["data"] * 10
    assert (storage.calls, storage.asked) == (10, 0)
    assert breaker.status().model_dump() == {
        "dependency": "blob",
        "state": "closed",
        "failures": 0,
        "open_until": None,
    }


def test_failures_in_a_row_open_it_though_the_dependency_answers_others(storage: Storage) -> None:
    breaker = breaker_of(storage, pause=60)
    use(breaker, storage)
    storage.error = ServiceUnavailable("storage answered 503")
    # The first two are put down to the calls, because storage answers when it is asked.
    assert fail(breaker, storage, 3) == ["ServiceUnavailable", "ServiceUnavailable", "DependencyUnavailable"]
    assert (breaker.status().state, breaker.status().failures) == ("open", 3)
    assert storage.asked == 2


def test_a_success_in_between_starts_the_count_anew(storage: Storage) -> None:
    breaker = breaker_of(storage, pause=60)
    for _ in range(5):
        storage.error = None
        use(breaker, storage)
        storage.error = ServiceUnavailable("busy")
        assert fail(breaker, storage, 2) == ["ServiceUnavailable"] * 2
    assert breaker.status().state == "closed"


@pytest.mark.parametrize("error", [BlobNotFound("no such blob"), AccessDenied("not allowed")])
def test_what_is_missing_or_forbidden_is_an_answer(storage: Storage, error: Exception) -> None:
    breaker = breaker_of(storage, pause=60)
    use(breaker, storage)
    storage.error = ServiceUnavailable("busy")
    fail(breaker, storage, 2)
    storage.error = error
    for _ in range(10):
        with pytest.raises(type(error)):
            use(breaker, storage)
    assert (breaker.status().state, breaker.status().failures) == ("closed", 0)


def test_an_error_that_is_not_ours_says_nothing(storage: Storage) -> None:
    breaker = breaker_of(storage, pause=60)
    use(breaker, storage)
    storage.error = ServiceUnavailable("busy")
    fail(breaker, storage, 2)
    storage.error = MemoryError()
    with pytest.raises(MemoryError):
        use(breaker, storage)
    assert (breaker.status().state, breaker.status().failures) == ("closed", 2)


def test_one_failure_opens_it_when_the_dependency_does_not_answer(storage: Storage) -> None:
    breaker = breaker_of(storage, failures=100)
    use(breaker, storage)
    storage.down = True
    assert fail(breaker, storage, 1) == ["DependencyUnavailable"]
    assert (breaker.status().state, storage.asked) == ("open", 1)


def test_a_call_that_fails_alone_is_to_blame_itself(storage: Storage) -> None:
    breaker = breaker_of(storage, failures=100)
    storage.error = ServiceUnavailable("storage answered 500")
    assert fail(breaker, storage, 10) == ["ServiceUnavailable"] * 10
    assert (breaker.status().state, storage.asked) == ("closed", 10)


def test_a_call_is_to_blame_itself_when_another_was_answered_meanwhile(storage: Storage) -> None:
    breaker = breaker_of(storage)
    thread, go_on, raised = in_flight(breaker, lambda: _fail("late"))
    use(breaker, storage)
    go_on.set()
    thread.join(10)
    assert (raised, storage.asked) == (["ServiceUnavailable"], 0)


def test_open_it_refuses_without_calling_and_says_when_to_come_back(storage: Storage) -> None:
    breaker = breaker_of(storage, pause=30)
    open_(breaker, storage)
    calls = storage.calls
    with pytest.raises(DependencyUnavailable, match="no answer") as caught:
        use(breaker, storage)
    assert storage.calls == calls
    assert caught.value.dependency == "blob"
    assert 29 < caught.value.retry_after <= 30
    with pytest.raises(DependencyUnavailable):
        breaker.check()
    until = breaker.status().open_until
    assert until is not None
    assert timedelta(seconds=29) < until - datetime.now(UTC) <= timedelta(seconds=30)


def test_after_the_pause_a_call_that_succeeds_closes_it(storage: Storage) -> None:
    breaker = breaker_of(storage)
    open_(breaker, storage)
    storage.down = False
    time.sleep(PAUSE * 1.2)
    breaker.check()
    assert use(breaker, storage) == "data"
    assert (breaker.status().state, breaker.status().failures) == ("closed", 0)


def test_after_the_pause_a_call_that_fails_opens_it_again(storage: Storage) -> None:
    breaker = breaker_of(storage)
    open_(breaker, storage)
    time.sleep(PAUSE * 1.2)
    assert fail(breaker, storage, 2) == ["DependencyUnavailable"] * 2
    assert storage.calls == 2, "the second was refused"
    assert breaker.status().state == "open"


def test_the_call_that_tries_is_to_blame_itself_if_the_dependency_answers(storage: Storage) -> None:
    """Else the task of one broken file would be put off for ever, where it is all that is left."""
    breaker = breaker_of(storage)
    open_(breaker, storage)
    storage.down, storage.error = False, ServiceUnavailable("storage answered 500")
    time.sleep(PAUSE * 1.2)
    assert fail(breaker, storage, 1) == ["ServiceUnavailable"]
    assert breaker.status().state == "open", "others wait all the same"


def test_after_a_trial_that_said_nothing_the_next_call_tries(storage: Storage) -> None:
    breaker = breaker_of(storage)
    open_(breaker, storage)
    storage.down, storage.error = False, KeyboardInterrupt()
    time.sleep(PAUSE * 1.2)
    with pytest.raises(KeyboardInterrupt):
        use(breaker, storage)
    assert breaker.status().state == "half_open"
    storage.error = None
    assert use(breaker, storage) == "data"
    assert breaker.status().state == "closed"


def test_only_one_call_tries_and_the_others_follow_when_it_succeeded(storage: Storage) -> None:
    breaker = breaker_of(storage)
    open_(breaker, storage)
    storage.down = False
    time.sleep(PAUSE * 1.2)
    inside, most, lock = 0, 0, threading.Lock()
    seen: list[str] = []

    def slow() -> None:
        nonlocal inside, most
        with breaker.calling():
            with lock:
                inside += 1
                seen.append(breaker.status().state)
            time.sleep(0.1)
            with lock:
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: slow(), range(8)))
    assert seen == ["half_open"] + ["closed"] * 7
    assert most > 1, "closed again, calls run side by side"


def test_who_waits_too_long_for_the_trial_is_refused(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers, "TRIAL_WAIT_SECONDS", 0.05)
    breaker = breaker_of(storage)
    open_(breaker, storage)
    storage.down = False
    time.sleep(PAUSE * 1.2)
    go_on = threading.Event()

    def hangs() -> None:
        with breaker.calling():
            go_on.wait(10)

    trial = threading.Thread(target=hangs)
    trial.start()
    while breaker.status().state != "half_open":
        time.sleep(0.01)
    with pytest.raises(DependencyUnavailable) as caught:
        use(breaker, storage)
    assert caught.value.retry_after == PAUSE
    go_on.set()
    trial.join(10)
    assert use(breaker, storage) == "data"


def in_flight(
    breaker: Breaker, end: Callable[[], None]
) -> tuple[threading.Thread, threading.Event, list[str]]:
    """A call that has begun; it ends as `end` does when the event is set."""
    begun, go_on, raised = threading.Event(), threading.Event(), list[str]()

    def call() -> None:
        try:
            with breaker.calling():
                begun.set()
                go_on.wait(10)
                end()
        except ServiceUnavailable as error:
            raised.append(type(error).__name__)

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(10)
    return thread, go_on, raised


def test_calls_in_flight_when_it_opens_are_not_to_blame(storage: Storage) -> None:
    breaker = breaker_of(storage, pause=30)
    thread, go_on, raised = in_flight(breaker, lambda: _fail("late"))
    open_(breaker, storage)
    go_on.set()
    thread.join(10)
    assert raised == ["DependencyUnavailable"]


def test_a_success_from_before_it_opened_does_not_close_it(storage: Storage) -> None:
    breaker = breaker_of(storage, pause=30)
    thread, go_on, raised = in_flight(breaker, lambda: None)
    open_(breaker, storage)
    go_on.set()
    thread.join(10)
    assert (raised, breaker.status().state) == ([], "open")


def test_calls_run_side_by_side(storage: Storage) -> None:
    breaker = breaker_of(storage)
    together = threading.Barrier(8, timeout=10)

    def meet(_: int) -> None:
        with breaker.calling():
            together.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(meet, range(8)))


def test_many_failures_at_once_ask_only_once(storage: Storage) -> None:
    breaker = breaker_of(storage, failures=100, pause=30)
    storage.down = True
    together = threading.Barrier(8, timeout=10)

    def call(_: int) -> str:
        try:
            with breaker.calling():
                together.wait()
                storage.call()
        except ServiceUnavailable as error:
            return type(error).__name__
        return "data"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(8))) == ["DependencyUnavailable"] * 8
    assert storage.asked == 1


def test_the_failure_of_another_dependency_inside_is_not_counted(storage: Storage) -> None:
    breaker, other = breaker_of(storage, failures=1), breaker_of(storage, pause=30)
    open_(other, storage)
    with pytest.raises(DependencyUnavailable), breaker.calling():
        use(other, storage)
    assert (breaker.status().state, breaker.status().failures) == ("closed", 0)


@given(st.lists(st.booleans(), max_size=60))
def test_it_is_open_exactly_when_the_last_so_many_calls_failed(outcomes: list[bool]) -> None:
    storage = Storage()
    breaker = breaker_of(storage, failures=4, pause=3600)
    use(breaker, storage)
    row = 0
    for good in outcomes:
        opened = row >= 4
        storage.error = None if good else ServiceUnavailable("busy")
        before = storage.calls
        with suppress(ServiceUnavailable):
            use(breaker, storage)
        assert storage.calls - before == (0 if opened else 1)
        if not opened:
            row = 0 if good else row + 1
        assert breaker.status().state == ("open" if row >= 4 else "closed")


def test_all_breakers_of_a_process_are_told_by_name(storage: Storage) -> None:
    settings = Settings(breaker_failures=2, breaker_pause_seconds=60)
    made = Breakers(settings)
    made.guard("pgstac", storage.ask)
    open_(made.guard("blob", storage.ask), storage)
    assert [(b.dependency, str(b.state)) for b in made.status()] == [("blob", "open"), ("pgstac", "closed")]


def _fail(reason: str) -> None:
    raise ServiceUnavailable(reason)
