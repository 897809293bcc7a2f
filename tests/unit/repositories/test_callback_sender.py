"""The real sender against receivers on sockets: what it sends, and whom it does not talk to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from interfaces.callbacks import Delivery, DueCallback
from interfaces.settings import Settings
from local.stack.ports import LOOPBACK
from repositories.callbacks import HttpCallbackSender
from tests.doubles.callback_receiver import SocketReceiver, receiving

T = TypeVar("T")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "QUFB" * 8
LOCAL = {"callback_hosts": "hooks.example.org:*", "callback_allow_http": True, "callback_allow_private": True}


def callback(url: str, secret: str | None = SECRET) -> DueCallback:
    return DueCallback(
        callback_id=7,
        fence=1,
        event_id="0b9fc0f4-5a2b-4f3e-9f0e-1c1f2a3b4c5d",
        event_type="job.completed",
        job_id="a" * 64,
        data={"job_id": "a" * 64, "run": 1, "status": "completed", "title": "Übersicht"},
        occurred_at=datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC),
        url=url,
        host="hooks.example.org",
        attempts=1,
        secret=secret,
    )


class Names:
    """A name server that gives its answers one after the other; the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def settings(port: int, **others: object) -> Settings:
    given = {**LOCAL, "callback_hosts": f"hooks.example.org:{port}", **others}
    return Settings.model_validate(given)


async def sent(
    port: int,
    names: Names | None = None,
    *,
    scheme: str = "http",
    tls: ssl.SSLContext | None = None,
    secret: str | None = SECRET,
    **others: object,
) -> Delivery:
    names = names or Names([LOOPBACK])
    sender = HttpCallbackSender(settings(port, **others), resolve=names, tls=tls)
    async with sender.session() as session:
        return await session.send(callback(f"{scheme}://hooks.example.org:{port}/in?a=b", secret))


def run(scene: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(scene())


def to(answer: bytes, **options: Any) -> tuple[Delivery, SocketReceiver]:
    """What becomes of a callback to a receiver that answers so."""

    async def scene() -> tuple[Delivery, SocketReceiver]:
        async with receiving(answer, then=options.pop("then", b"")) as receiver:
            return await sent(receiver.port, **options), receiver

    return run(scene)


def test_a_callback_is_a_cloud_event_that_its_signature_proves() -> None:
    delivery, receiver = to(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
    assert delivery == Delivery("delivered", 202)
    [request] = receiver.requests
    assert request.line == "POST /in?a=b HTTP/1.1"
    assert request.headers["host"] == f"hooks.example.org:{receiver.port}"
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert Webhook(SECRET).verify(request.body, request.headers) == json.loads(request.body)
    event = from_structured_event(HTTPMessage(request.headers, request.body))
    assert event.get_id() == request.headers["webhook-id"] == "0b9fc0f4-5a2b-4f3e-9f0e-1c1f2a3b4c5d"
    assert (event.get_specversion(), event.get_source(), event.get_subject()) == (
        "1.0",
        "/api/jobs",
        "a" * 64,
    )
    assert event.get_type() == "geospatial-orchestrator.job.completed"
    assert event.get_time() == datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC)
    assert event.get_data() == callback("").data


def test_while_the_apps_own_secret_is_replaced_both_sign() -> None:
    _, receiver = to(b"HTTP/1.1 204 No Content\r\n\r\n", secret=None, callback_secret=f"{SECRET} {OTHER}")
    [request] = receiver.requests
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("answer", "delivery"),
    [
        (b"HTTP/1.1 500 No\r\n\r\n", Delivery("retry", 500, "answered 500")),
        (b"HTTP/1.1 404 No\r\n\r\n", Delivery("retry", 404, "answered 404")),
        (b"HTTP/1.1 503 No\r\nRetry-After: 120\r\n\r\n", Delivery("retry", 503, "answered 503", 120)),
        (
            b"HTTP/1.1 429 No\r\nRetry-After: 999999999999\r\n\r\n",
            Delivery("retry", 429, "answered 429", 21600),
        ),
        (b"HTTP/1.1 429 No\r\nRetry-After: soon\r\n\r\n", Delivery("retry", 429, "answered 429")),
        (b"HTTP/1.1 410 Gone\r\n\r\n", Delivery("dead", 410, "the receiver wants no more of them (410)")),
    ],
)
def test_what_is_not_a_success_is_tried_again_unless_the_receiver_is_gone(
    answer: bytes, delivery: Delivery
) -> None:
    assert to(answer)[0] == delivery


def test_a_redirect_is_not_followed() -> None:
    async def scene() -> None:
        async with receiving() as inside:
            there = f"Location: http://{LOOPBACK}:{inside.port}/latest/meta-data\r\n\r\n".encode()
            async with receiving(b"HTTP/1.1 307 Temporary Redirect\r\n" + there) as receiver:
                delivery = await sent(receiver.port)
            assert delivery == Delivery("retry", 307, "answered 307; redirects are not followed")
            assert inside.connections == 0

    run(scene)


def test_a_name_that_leads_inside_is_not_called() -> None:
    for addresses in (
        [LOOPBACK],
        ["::1"],
        ["8.8.8.8", "10.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
    ):
        delivery, receiver = to(b"", names=Names(addresses), callback_allow_private=False)
        assert (delivery.outcome, receiver.connections) == ("dead", 0)
        assert "not sent: " in str(delivery.error)


def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_called() -> None:
    # No such host, and a second answer that would be refused: whoever asks again goes wrong.
    names = Names([LOOPBACK], ["169.254.169.254"])
    delivery, receiver = to(b"HTTP/1.1 204 No Content\r\n\r\n", names=names)
    assert (delivery.outcome, receiver.connections) == ("delivered", 1)
    assert names.asked == ["hooks.example.org"]


def test_the_next_address_is_called_where_one_does_not_answer() -> None:
    delivery, _ = to(b"HTTP/1.1 204 No Content\r\n\r\n", names=Names(["127.0.0.2", LOOPBACK]))
    assert delivery.outcome == "delivered"


def test_a_host_that_is_allowed_no_more_is_not_called() -> None:
    delivery, receiver = to(b"", callback_hosts="another.example.org")
    assert (delivery.outcome, receiver.connections) == ("dead", 0)


def test_without_a_secret_nothing_is_sent() -> None:
    delivery, receiver = to(b"", secret=None)
    assert (delivery.outcome, receiver.connections) == ("dead", 0)


def test_a_secret_that_is_none_is_that_callbacks_failure_and_is_not_told() -> None:
    delivery, _ = to(b"", secret="bad secret!")
    assert delivery.outcome == "retry"
    assert str(delivery.error).startswith("not sent: Error: ")
    assert "bad secret!" not in str(delivery.error)


def test_a_receiver_that_never_ends_its_answer_is_given_up_in_time() -> None:
    delivery, _ = to(b"HTTP/1.1 200 OK\r\n", then=b"X: y\r\n", callback_seconds=0.2)
    assert delivery == Delivery("retry", error="no answer within 0.2 s")


def test_no_more_than_the_head_of_an_answer_is_read() -> None:
    delivery, _ = to(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", then=b"x" * 1000)
    assert delivery == Delivery("delivered", 200)
    delivery, _ = to(b"HTTP/1.1 200 OK\r\nX: ", then=b"x" * 65536)
    assert delivery.outcome == "retry"
    assert "RemoteProtocolError" in str(delivery.error)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 999999 \r\n\r\n"])
def test_what_is_not_http_is_tried_again(answer: bytes) -> None:
    assert to(answer)[0].outcome == "retry"


def test_a_host_that_is_not_there_is_tried_again() -> None:
    async def scene() -> Delivery:
        async with receiving() as receiver:
            pass
        return await sent(receiver.port)

    assert run(scene).outcome == "retry"


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for this name, and that of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


@pytest.mark.parametrize(("name", "outcome"), [("hooks.example.org", "delivered"), ("example.org", "retry")])
def test_tls_proves_the_host_and_not_the_address(tmp_path: Path, name: str, outcome: str) -> None:
    server, client = certificate(tmp_path, name)

    async def scene() -> tuple[Delivery, SocketReceiver]:
        async with receiving(tls=server) as receiver:
            return await sent(receiver.port, scheme="https", tls=client), receiver

    delivery, receiver = run(scene)
    assert (delivery.outcome, len(receiver.requests)) == (outcome, int(outcome == "delivered"))


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, "hooks.example.org")

    async def scene() -> Delivery:
        async with receiving(tls=server) as receiver:
            return await sent(receiver.port, scheme="https")

    delivery = run(scene)
    assert delivery.outcome == "retry"
    assert "CERTIFICATE_VERIFY_FAILED" in str(delivery.error)
