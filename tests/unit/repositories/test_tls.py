"""A database elsewhere is spoken to only where it is made sure that it is the one."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from repositories.database import Database, owner_database
from repositories.tls import UnsafeConnection, check, root_certificates

ELSEWHERE = "postgresql://app:hidden@db.example.org/geo"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the person's own: neither variables nor roots."""
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSSLROOTCERT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def settings(url: str, **others: object) -> Settings:
    return Settings(database_url=SecretStr(url), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql:///geo",
        "postgresql://app:x@localhost/geo",
        "postgresql://app:x@127.0.0.1:5432/geo",
        "postgresql://app:x@[::1]/geo",
        "host=/var/run/postgresql dbname=geo",
        "host=127.0.0.1,/tmp",
        "host=db.example.org hostaddr=127.0.0.1",
        f"{ELSEWHERE}?sslmode=verify-full",
        "service=geo sslmode=verify-full",
    ],
)
def test_this_machine_and_verified_servers_are_spoken_to(url: str) -> None:
    check(settings(url))


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        (ELSEWHERE, "prefer"),
        (f"{ELSEWHERE}?sslmode=require", "require"),
        (f"{ELSEWHERE}?sslmode=verify-ca", "verify-ca"),
        ("host=localhost,10.0.0.4 password=hidden", "prefer"),
        ("host=localhost hostaddr=10.0.0.4", "prefer"),
        ("host=localhost hostaddr=,10.0.0.4", "prefer"),
        ("host=localhost.example.org", "prefer"),
        ("host=0x7f000001", "prefer"),
        ("service=geo password=hidden", "unknown"),
    ],
)
def test_a_server_elsewhere_that_would_not_be_verified_is_refused_by_the_settings_name(
    url: str, mode: str
) -> None:
    with pytest.raises(UnsafeConnection, match=f"^DATABASE_URL: .* sslmode={mode}, .*verify-full") as refused:
        Database(settings(url))
    assert "hidden" not in str(refused.value)
    check(settings(url, database_allow_unverified=True))


@pytest.mark.parametrize("name", ["database_direct_url", "database_owner_url"])
def test_every_connection_string_is_looked_at(name: str) -> None:
    for make in (Database, owner_database):
        with pytest.raises(UnsafeConnection, match=f"^{name.upper()}: "):
            make(settings("postgresql:///geo", **{name: SecretStr(ELSEWHERE)}))


def test_what_the_environment_says_counts_where_the_url_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    with pytest.raises(UnsafeConnection):
        check(settings("postgresql:///geo"))
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    check(settings("postgresql:///geo"))
    with pytest.raises(UnsafeConnection, match="sslmode=disable"):
        check(settings("postgresql:///geo?sslmode=disable"))


def test_what_is_no_connection_string_is_refused_without_quoting_it() -> None:
    with pytest.raises(UnsafeConnection, match="DATABASE_URL: is no connection string") as refused:
        check(settings("postgresql://app:hidden@db.example.org/geo?sslmod=verify-full"))
    assert "hidden" not in str(refused.value)


def test_the_roots_are_those_that_come_with_the_app_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verified = f"{ELSEWHERE}?sslmode=verify-full"
    ours = {"sslrootcert": certifi.where()}
    assert root_certificates(verified) == ours
    assert root_certificates(ELSEWHERE) == {}
    assert root_certificates(f"{verified}&sslrootcert=/etc/ours.pem") == {}
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert root_certificates(verified) == {}
    (tmp_path / ".postgresql" / "root.crt").unlink()
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ours.pem")
    assert root_certificates(verified) == {}
