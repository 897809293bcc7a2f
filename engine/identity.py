"""The id of a job: the SHA-256 of what was asked. There is no other implementation."""

from __future__ import annotations

import hashlib

import rfc8785

from interfaces.contracts import JobId, JsonObject
from interfaces.errors import FieldError, InvalidParameters


def job_id(job_type: str, parameters: JsonObject) -> JobId:
    """SHA-256, as 64 hex digits, of the RFC 8785 canonical JSON of type and validated parameters.

    Raises `InvalidParameters` for numbers that JSON cannot carry exactly (RFC 8785, section 3.2.2.3).
    """
    try:
        canonical = rfc8785.dumps({"job_type": job_type, "parameters": parameters})
    except rfc8785.CanonicalizationError as error:
        raise InvalidParameters(
            f"parameters: {error}", errors=[FieldError(field="parameters", reason=str(error))]
        ) from error
    return hashlib.sha256(canonical).hexdigest()
