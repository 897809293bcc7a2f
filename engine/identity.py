"""The id of a job: the SHA-256 of what was asked. There is no other implementation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import rfc8785
from pydantic import JsonValue

from interfaces.contracts import JobId, JsonObject
from interfaces.errors import FieldError, InvalidParameters


def job_id(job_type: str, parameters: JsonObject) -> JobId:
    """SHA-256, as 64 hex digits, of the RFC 8785 canonical JSON of type and validated parameters.

    Raises `InvalidParameters`, naming the field, for what RFC 8785 cannot carry exactly: integers beyond
    2^53 - 1 and numbers that are not finite (section 3.2.2.3), text with lone surrogates (3.2.2.2).
    """
    try:
        canonical = rfc8785.dumps({"job_type": job_type, "parameters": parameters})
    except rfc8785.CanonicalizationError as error:
        culprit = next(_uncanonical(parameters, ""), FieldError(field="parameters", reason=str(error)))
        raise InvalidParameters(f"{culprit.field}: {culprit.reason}", errors=[culprit]) from error
    return hashlib.sha256(canonical).hexdigest()


def _uncanonical(value: JsonValue, path: str) -> Iterator[FieldError]:
    """Every part of the value that has no canonical form."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _uncanonical(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _uncanonical(inner, f"{path}.{index}")
    else:
        try:
            rfc8785.dumps(value)
        except rfc8785.CanonicalizationError as error:
            yield FieldError(field=path, reason=str(error))
