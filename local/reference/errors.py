"""Errors, from the tree of their classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from interfaces import errors
from interfaces.errors import OrchestratorError, RegistrationError, TaskError
from triggers.http import problems
from triggers.http.problem_types import problem_type

from .markdown import code, table

HEAD = """# Errors

Made of the classes of errors. Each knows its HTTP status, and becomes a problem (RFC 9457) in one place
([api.md](../api.md#problems)): `type` is below, `detail` says what was wrong, `errors` name the fields.
"""
PERMANENT = """## Of tasks

What a handler raises is the outcome of its attempt ([states](states.md#tasks)):

| raised | becomes |
|---|---|
| `PermanentTaskError`, `InvalidRequest`, `NotFound`, `Forbidden`, `PayloadTooLarge` | `failed` at once |
| a model's `ValidationError`, and what the task type's policy calls permanent | `failed` at once |
| `DependencyUnavailable` | put off: `queued`, without an attempt |
| `TaskCancelled` | `cancelled` if the job is; else `failed` |
| `LeaseLost` | nothing: another attempt has the task |
| `TaskTimedOut` | an attempt: tried again, or `failed` at the last |
| anything else | an attempt: tried again, or `failed` at the last |

A task's error text has at most `MAX_ERROR_CHARACTERS` (5,000) characters, from which known forms of secrets
are cut out.
"""


def document() -> str:
    """The page."""
    rows = [(code(error.__name__), _status(error), code(_problem(error)), _says(error)) for error in known()]
    return f"{HEAD}\n{table(('error', 'status', 'type', ''), rows)}\n\n{PERMANENT}"


def known() -> list[type[OrchestratorError]]:
    """Every error of the boundary, below the one that it is a kind of."""
    here = {errors.__name__, problems.__name__}
    return [error for error in _below(OrchestratorError) if error.__module__ in here]


def _below(error: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    yield error
    for kind in sorted(error.__subclasses__(), key=lambda kind: (kind.status, kind.__name__)):
        yield from _below(kind)


def _answered(error: type[OrchestratorError]) -> bool:
    return error is not OrchestratorError and not issubclass(error, TaskError | RegistrationError)


def _status(error: type[OrchestratorError]) -> str:
    return str(error.status) if _answered(error) else "–"


def _problem(error: type[OrchestratorError]) -> str:
    return problem_type(error) if _answered(error) else ""


def _says(error: type[OrchestratorError]) -> str:
    return " ".join((inspect.getdoc(error) or "").split())
