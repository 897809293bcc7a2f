"""Lets errors leave an application as ours, for the trigger to make problems of them as of all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from interfaces.errors import (
    Conflict,
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    OrchestratorError,
    PayloadTooLarge,
)

Ours = Callable[[str], OrchestratorError]
"""Makes an error of ours of what the library says."""
STATUSES: dict[int, type[OrchestratorError]] = {404: NotFound, 409: Conflict, 413: PayloadTooLarge}


def raise_ours(app: FastAPI, kinds: Mapping[type[Exception], Ours], name: str) -> None:
    """Replace the handlers that the library has put there.

    `kinds` are errors of the library's and what they are here; `name` is what has no such path.
    """

    def refused(request: Request, error: Exception) -> NoReturn:
        assert isinstance(error, HTTPException)
        detail = str(error.detail)
        if error.status_code == 405:
            raise MethodNotAllowed(request.method, (error.headers or {}).get("Allow", ""))
        if error.status_code == 404 and detail == "Not Found":
            detail = f"{name} has no {request.url.path}"
        raise STATUSES.get(error.status_code, InvalidRequest)(detail)

    for kind, ours in kinds.items():
        app.add_exception_handler(kind, _raising(ours))
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, refused)


def _raising(ours: Ours) -> Callable[[Request, Exception], NoReturn]:
    def handler(_: Request, error: Exception) -> NoReturn:
        raise ours(str(error) or type(error).__name__) from error

    return handler


def _not_valid(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, RequestValidationError)
    found = [FieldError(field=_field(item["loc"]), reason=str(item["msg"])) for item in error.errors()]
    raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in found), errors=found)


def _field(place: tuple[object, ...]) -> str:
    """Without FastAPI's first word, which says where it is: the body, the query or the path."""
    return ".".join(map(str, place[1:])) or "(body)"
