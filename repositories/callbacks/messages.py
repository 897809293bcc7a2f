"""What is sent: CloudEvents 1.0 in structured JSON, signed as Standard Webhooks has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from interfaces.callbacks import DueCallback

if TYPE_CHECKING:
    from standardwebhooks import Webhook

EVENT_TYPE_PREFIX = "geospatial-orchestrator."


def event_body(callback: DueCallback, source: str) -> bytes:
    """The event as JSON, the same bytes at each attempt.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    """
    from cloudevents.core.bindings.http import to_structured_event
    from cloudevents.core.v1.event import CloudEvent

    attributes = {
        "specversion": "1.0",
        "id": callback.event_id,
        "source": source,
        "type": EVENT_TYPE_PREFIX + callback.event_type,
        "subject": callback.job_id,
        "time": callback.occurred_at.astimezone(UTC),
        "datacontenttype": "application/json",
    }
    return to_structured_event(CloudEvent(attributes, dict(callback.data))).body


def signature_headers(
    callback: DueCallback, body: bytes, secrets: Sequence[str], now: datetime
) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature`: HMAC-SHA256 with each of the secrets.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    signed = [
        _signer(secret).sign(callback.event_id, now.astimezone(UTC), body.decode()) for secret in secrets
    ]
    return {
        "webhook-id": callback.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signed),
    }


def _signer(secret: str) -> Webhook:
    from standardwebhooks import Webhook

    return Webhook(secret)
