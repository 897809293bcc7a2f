"""pgstac behind its breaker: left alone while it fails, not for what it rightly refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from interfaces.catalog import CollectionNotFound, Holder
from interfaces.errors import DependencyUnavailable, LeaseLost, OrchestratorError, ServiceUnavailable
from interfaces.settings import Settings
from repositories.breakers import Breakers
from repositories.guarded_catalog import GuardedCatalog
from repositories.pgstac import PgstacCatalog

HOLDER = Holder("a" * 64, 1, 1, 0, 1)


class Scripted:
    """A catalog all of whose calls raise the same."""

    def __init__(self) -> None:
        self.error: OrchestratorError = ServiceUnavailable("gone")
        self.calls = 0

    def ping(self) -> None:
        raise self.error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object, **__: object) -> None:
            self.calls += 1
            raise self.error

        return call


CALLS: dict[str, Callable[[GuardedCatalog], object]] = {
    "state": lambda catalog: catalog.state(),
    "collection": lambda catalog: catalog.collection("a"),
    "create_collection": lambda catalog: catalog.create_collection({}, "none", HOLDER),
    "put_collection": lambda catalog: catalog.put_collection({}, HOLDER),
    "load": lambda catalog: catalog.load("a", [], HOLDER, exclusive=False),
}


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(Settings())


@pytest.fixture
def catalog(scripted: Scripted, breakers: Breakers) -> GuardedCatalog:
    return GuardedCatalog(cast(PgstacCatalog, scripted), breakers)


@pytest.mark.parametrize("name", CALLS)
def test_no_call_gets_through_once_the_catalog_does_not_answer(
    name: str, catalog: GuardedCatalog, scripted: Scripted, breakers: Breakers
) -> None:
    with pytest.raises(DependencyUnavailable):
        CALLS[name](catalog)
    assert [(status.dependency, str(status.state)) for status in breakers.status()] == [("pgstac", "open")]
    for call in CALLS.values():
        with pytest.raises(DependencyUnavailable):
            call(catalog)
    assert scripted.calls == 1


@pytest.mark.parametrize(
    "error", [CollectionNotFound("none"), LeaseLost("lost")], ids=lambda e: type(e).__name__
)
def test_what_is_rightly_refused_says_nothing_against_the_catalog(
    error: OrchestratorError, catalog: GuardedCatalog, scripted: Scripted, breakers: Breakers
) -> None:
    scripted.error = error
    for _ in range(20):
        with pytest.raises(type(error)):
            catalog.load("a", [], HOLDER, exclusive=False)
    [status] = breakers.status()
    assert (str(status.state), scripted.calls) == ("closed", 20)
