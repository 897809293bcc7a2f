"""Two things at a time, where there is another connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from unittest.mock import Mock

import pytest
from pydantic import SecretStr

from interfaces.errors import ServiceUnavailable
from interfaces.settings import Settings
from repositories.beside import Hands
from repositories.connection import Connection
from repositories.database import SPARE_WAIT, Database


def test_who_gets_no_other_connection_does_both_alone() -> None:
    """As where a server takes no more of them: nothing was begun there."""
    database = Mock()
    database.spare_transaction.side_effect = ServiceUnavailable("too many clients already")
    mine, done = Mock(), []
    assert Hands(database, mine).both(lambda connection: connection, lambda: done.append(1)) is mine
    assert done == [1]


def test_what_broke_off_elsewhere_is_not_done_twice() -> None:
    helped = Mock(side_effect=ServiceUnavailable("the connection is lost"))
    with pytest.raises(ServiceUnavailable, match="lost"):
        Hands(mock_database(Mock()), Mock()).both(helped, lambda: None)
    helped.assert_called_once()


def test_what_could_be_done_without_waits_briefly_for_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections that PgBouncer keeps to a server may be with those who wait for one more."""
    patience: list[float] = []

    class Pooled:
        patience = 60.0

        @contextmanager
        def transaction(self) -> Iterator[None]:
            patience.append(self.patience)
            yield

    @contextmanager
    def long_connection(_: Database, *, wait: float) -> Iterator[Connection]:
        assert wait == 0
        yield cast(Connection, Pooled())

    monkeypatch.setattr(Database, "long_connection", long_connection)
    database = Database(Settings(database_url=SecretStr("postgresql://localhost/nowhere")))
    with database.spare_transaction() as connection:
        patience.append(connection.patience)
    assert patience == [SPARE_WAIT, database.patience(1.0)]


def mock_database(connection: Connection) -> Database:
    @contextmanager
    def spare() -> Iterator[Connection]:
        yield connection

    return Mock(spare_transaction=spare)
