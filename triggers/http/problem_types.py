"""Problems as responses of an OpenAPI document: which types a status can have, with an example of each."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from rfc9457 import error_class_to_type

from interfaces.contracts import JsonObject
from interfaces.errors import FieldError, InvalidRequest, OrchestratorError

from .documents.common import CORRELATION_ID, Problem
from .problems import PROBLEM_JSON
from .schemas import Schemas

RETRIED = {429, 503}
"""The statuses of what is worth trying again, with `Retry-After`."""
EXAMPLE = "n: Input should be less than or equal to 1000000"


class ProblemResponses:
    """Collects responses, by the types that they can have."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._named: JsonObject = {}

    def of(self, errors: Sequence[type[OrchestratorError]]) -> dict[str, JsonObject]:
        """References to a response for each status among these errors."""
        by_status: dict[int, list[type[OrchestratorError]]] = {}
        for error in errors:
            by_status.setdefault(error.status, []).append(error)
        return {str(status): self._response(status, found) for status, found in by_status.items()}

    def all(self) -> JsonObject:
        """Every response, by name."""
        return self._named

    def _response(self, status: int, errors: list[type[OrchestratorError]]) -> JsonObject:
        name = "_".join(error.__name__ for error in errors)
        if name not in self._named:
            self._named[name] = self._described(status, errors)
        return {"$ref": f"#/components/responses/{name}"}

    def _described(self, status: int, errors: list[type[OrchestratorError]]) -> JsonObject:
        problem = self._schemas.answer(Problem)
        types: JsonObject = {
            "properties": {"type": {"enum": [problem_type(e) for e in errors]}, "status": {"const": status}}
        }
        names = " ".join(f"`{problem_type(error)}`: {_says(error)}" for error in errors)
        response: JsonObject = {
            "description": names,
            "content": {
                PROBLEM_JSON: {
                    "schema": {"allOf": [problem, types]},
                    "examples": {problem_type(error): {"value": _example(error)} for error in errors},
                }
            },
        }
        if status in RETRIED:
            response["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
        return response


def problem_type(error: type[OrchestratorError]) -> str:
    """The type of this error's problems, a URN."""
    # A class and not an error: its arguments do not matter to its type.
    return f"urn:problem:{error_class_to_type(error.__new__(error))}"


def _says(error: type[OrchestratorError]) -> str:
    return (inspect.getdoc(error) or error.title).partition("\n")[0]


def _example(error: type[OrchestratorError]) -> JsonObject:
    about_fields = issubclass(error, InvalidRequest)
    field = FieldError(field="n", reason=EXAMPLE.partition(": ")[2])
    return {
        "type": problem_type(error),
        "title": error.title,
        "status": error.status,
        "detail": EXAMPLE if about_fields else _says(error),
        "instance": "/api/jobs/submit/hello_world",
        "correlation_id": CORRELATION_ID,
        "errors": [field.model_dump()] if about_fields else [],
    }
