"""What the library's errors are here."""

from __future__ import annotations

import orjson
from jsonpatch import JsonPatchException
from jsonpointer import JsonPointerException
from stac_fastapi.types.errors import (
    ConflictError,
    DatabaseError,
    ForeignKeyError,
    InvalidQueryParameter,
    NotFoundError,
)

from interfaces.errors import Conflict, InvalidRequest, NotFound, OrchestratorError

KINDS: dict[type[Exception], type[OrchestratorError]] = {
    NotFoundError: NotFound,
    ForeignKeyError: NotFound,
    ConflictError: Conflict,
    DatabaseError: InvalidRequest,
    InvalidQueryParameter: InvalidRequest,
    orjson.JSONDecodeError: InvalidRequest,
    JsonPatchException: InvalidRequest,
    JsonPointerException: InvalidRequest,
}
