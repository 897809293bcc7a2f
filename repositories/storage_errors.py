"""Maps what the storage SDK raises to our errors, leaving keys, tokens and signatures behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from interfaces.errors import (
    AccessDenied,
    BlobNotFound,
    Conflict,
    ContainerNotFound,
    InvalidRequest,
    NotFound,
    OrchestratorError,
    ServiceUnavailable,
)

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

MISSING_CONTAINER = {"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"}
"""https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes"""
MISSING_QUEUE = {"QueueNotFound", "QueueBeingDeleted", "QueueDisabled"}
INVALID_NAME = {"InvalidResourceName", "InvalidUri", "OutOfRangeInput"}
TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
DAMAGED = "Md5Mismatch"
"""What arrived is not what was sent."""


@contextmanager
def storage_errors(container: str = "", name: str = "", queue: str = "") -> Iterator[None]:
    """Raise our error for the SDK's, saying which container, blob or queue it was about."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and error.status_code is None:
            # Raised by the identity library: no identity (yet), which another attempt may find.
            raise ServiceUnavailable(f"no identity for storage: {type(error).__name__}") from None
        raise translate(error, container=container, name=name, queue=queue) from None
    except AzureError as error:
        raise ServiceUnavailable(f"storage cannot be reached: {type(error).__name__}") from None


def translate(error: HttpResponseError, *, container: str, name: str, queue: str) -> OrchestratorError:
    """Our error for an answer of the service. Its text names what was asked for, never how."""
    status, code = error.status_code or 0, error_code(error)
    answer = f"storage answered {status} {code}".rstrip()
    if status == 404 or code in MISSING_CONTAINER | MISSING_QUEUE:
        if queue or code in MISSING_QUEUE:
            return NotFound(f"queue {queue!r} does not exist")
        if name and code not in MISSING_CONTAINER:
            return BlobNotFound(f"blob {name!r} does not exist in container {container!r}")
        return ContainerNotFound(f"container {container!r} does not exist")
    subject = f"queue {queue!r}" if queue else f"container {container!r}" if container else "the account"
    if code == DAMAGED:
        return ServiceUnavailable(answer)
    if code in INVALID_NAME:
        return InvalidRequest(f"{subject}: not a valid name ({code})")
    return refused(status, subject, name, code)


def refused(status: int, subject: str, name: str, code: str = "") -> OrchestratorError:
    """Our error for an answer that is neither success nor "not there": will another try help?"""
    answer = f"storage answered {status} {code}".rstrip()
    if status in (401, 403):
        return AccessDenied(f"storage refuses access to {subject} ({code or status})")
    if status in TRANSIENT_STATUS:
        return ServiceUnavailable(answer)
    return Conflict(f"{answer} for {subject}" + (f", blob {name!r}" if name else ""))


def error_code(error: HttpResponseError) -> str:
    """What the service calls its error; empty where it does not say."""
    code = getattr(error, "error_code", None)
    if code is None:  # an answer without a body, as to HEAD
        code = getattr(error.response, "headers", {}).get("x-ms-error-code")
    return str(getattr(code, "value", code) or "")
