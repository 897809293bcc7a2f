"""Who is at the other end: tokens that expire, and servers that are verified."""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from interfaces.errors import ServiceUnavailable
from interfaces.settings import Settings
from local.stack.postgres import PostgresServer, server_account
from repositories.database import Database, TokenUnavailable, owner_database
from tests.fix_app import until


class Provider:
    """An identity provider: the database takes the newest of its tokens, and no other."""

    def __init__(self, admin: psycopg.Connection, role: str) -> None:
        self._admin = admin
        self._role = role
        self.given: list[str] = []
        self.down = False
        self.expire()

    def expire(self) -> None:
        """From now on only a new token is taken; connections that there are go on."""
        self.newest = uuid.uuid4().hex
        change = sql.SQL("ALTER ROLE {} PASSWORD {}")
        self._admin.execute(change.format(sql.Identifier(self._role), sql.Literal(self.newest)))

    def __call__(self) -> str:
        if self.down:
            raise TokenUnavailable("the identity provider gave no token (Test)")
        self.given.append(self.newest)
        return self.newest

    def end_sessions(self) -> None:
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [self._role]
        )


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(admin: psycopg.Connection) -> Iterator[str]:
    name = f"identity_{uuid.uuid4().hex[:8]}"
    admin.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    admin.execute(f"DROP ROLE {name}")


@pytest.fixture
def provider(admin: psycopg.Connection, role: str) -> Iterator[Provider]:
    made = Provider(admin, role)
    yield made
    made.end_sessions()


@pytest.fixture
def database(database_url: str, role: str, provider: Provider) -> Iterator[Database]:
    # A password that is never right: the token takes its place.
    url = SecretStr(make_conninfo(database_url, user=role, password="expired"))
    made = Database(Settings(database_url=url, database_direct_url=url, database_timeout_seconds=2), provider)
    yield made
    made.close()


def answers(database: Database) -> None:
    with database.connection() as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_connection_that_is_made_again_has_a_token_that_is_valid_then(
    database: Database, provider: Provider
) -> None:
    heartbeat = database.reserved()
    first = provider.newest
    answers(database)
    answers(heartbeat)
    assert provider.given == [first, first]
    provider.expire()
    for one in (database, heartbeat):
        answers(one)
    assert provider.given == [first, first], "a connection that there is needs no token"
    provider.end_sessions()
    for one in (database, heartbeat):
        answers(one)
    with database.session() as listener:
        listener.execute("SELECT 1")
    assert set(provider.given[2:]) == {provider.newest}


def test_without_a_token_it_is_said_that_there_is_none_and_later_ones_are_taken(
    database: Database, provider: Provider
) -> None:
    heartbeat = database.reserved()
    for one in (database, heartbeat):
        answers(one)
    provider.down = True
    for one in (database, heartbeat):
        answers(one)
    provider.end_sessions()
    for one in (database, heartbeat):
        with pytest.raises(ServiceUnavailable, match="database: the identity provider gave no token"):
            answers(one)
    provider.down = False
    provider.expire()
    for one in (database, heartbeat):
        answers(one)


def test_the_schemas_owner_has_a_connection_of_its_own(
    database_url: str, role: str, provider: Provider
) -> None:
    url = SecretStr(make_conninfo(database_url, user=role))
    settings = Settings(database_url=SecretStr(database_url), database_owner_url=url)
    for given, expected in ((settings, role), (settings.model_copy(update={"database_owner_url": ""}), None)):
        if expected is None:
            given = settings.model_copy(update={"database_owner_url": SecretStr("")})
        owner = owner_database(given, provider if expected else None)
        with owner.connection() as connection:
            row = connection.execute("SELECT current_user AS name").fetchone()
        owner.close()
        assert row == {"name": expected or "postgres"}


class Authority:
    """A certificate authority that nobody else knows."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of a test")])
        certificate = self._signed(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / f"{uuid.uuid4().hex}.pem"
        self.file.write_bytes(self._pem(certificate.sign(self._key, hashes.SHA256())))

    def issue(self, folder: Path, host: str) -> tuple[Path, Path]:
        """A certificate and its key, as PostgreSQL wants them."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.9"))])
        certificate = self._signed(subject, key.public_key()).add_extension(names, critical=False)
        files = folder / "server.pem", folder / "server.key"
        files[0].write_bytes(self._pem(certificate.sign(self._key, hashes.SHA256())))
        files[1].touch(0o600)
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        account = server_account()
        if account is not None:
            os.chown(files[1], account.uid, account.gid)
        return files

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
        )

    @staticmethod
    def _pem(certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.PEM)


HOST = "db.example.org"


@pytest.fixture
def authority(postgres_server: PostgresServer, server_folder: Path) -> Iterator[Authority]:
    """One that signed this server's certificate, which is for `db.example.org`."""
    folder = server_folder / f"tls-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    made = Authority(folder)
    certificate, key = made.issue(folder, HOST)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        for name, value in (("ssl_cert_file", certificate), ("ssl_key_file", key), ("ssl", "on")):
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
        until(lambda: _encrypted(postgres_server.url()), 10)
        yield made
        for name in ("ssl", "ssl_cert_file", "ssl_key_file"):
            connection.execute(f"ALTER SYSTEM RESET {name}")
        connection.execute("SELECT pg_reload_conf()")
        until(lambda: not _encrypted(postgres_server.url()), 10)


def _encrypted(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.pgconn.ssl_in_use)


def test_a_server_is_spoken_to_only_if_its_authority_is_known_and_its_name_is_right(
    postgres_server: PostgresServer, authority: Authority, server_folder: Path
) -> None:
    def tried(host: str, **roots: str) -> bool:
        # The name is resolved here, and compared with the certificate's all the same.
        url = make_conninfo(
            postgres_server.url(), host=host, hostaddr="127.0.0.1", sslmode="verify-full", **roots
        )
        database = Database(Settings(database_url=SecretStr(url), database_timeout_seconds=2))
        try:
            with database.reserved().connection() as connection:
                return bool(connection.pgconn.ssl_in_use)
        finally:
            database.close()

    assert tried(HOST, sslrootcert=str(authority.file))
    unverified = "database: connection failed"
    with pytest.raises(ServiceUnavailable, match=unverified):
        tried("other.example.org", sslrootcert=str(authority.file))
    with pytest.raises(ServiceUnavailable, match=unverified):
        tried(HOST, sslrootcert=str(Authority(server_folder).file))
    # Nor is it one of those that everybody knows, which are asked where none is named.
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=unverified):
        tried(HOST)
    assert time.monotonic() - began < 2
