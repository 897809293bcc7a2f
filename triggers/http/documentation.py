"""What is said of an endpoint in the OpenAPI document, written where the endpoint is (`openapi`).

The models of queries and bodies are those that validate requests; a test holds the others against answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pydantic import BaseModel

from interfaces.errors import (
    ContractViolation,
    InvalidRequest,
    OrchestratorError,
    ServiceUnavailable,
    TooManyRequests,
)

from .problems import InternalError, SchemaMissing

ANYWHERE: tuple[type[OrchestratorError], ...] = (
    InvalidRequest,
    TooManyRequests,
    InternalError,
    ContractViolation,
)
"""Every query is validated, and anything may go wrong in a way that nobody foresaw."""
DATABASE: tuple[type[OrchestratorError], ...] = (ServiceUnavailable, SchemaMissing)


class Tag(Enum):
    """A group of endpoints; the value says what they are about."""

    JOBS = "Submit jobs, steer them, and read what they answer."
    DATABASE = "What is in the database, and what operators do about it."
    HEALTH = "Whether the app is alive, ready and healthy."
    DOCUMENTATION = "This document, and a page that shows it."

    @property
    def title(self) -> str:
        """The name that is shown."""
        return self.name.capitalize()


class JobBody(Enum):
    """Bodies that are made from the job types that are registered."""

    PARAMETERS = "parameters"
    """Those of the type in the path, which becomes a path of its own for each type."""
    ENVELOPE = "envelope"
    """`job_type` and `parameters`."""


@dataclass(frozen=True)
class Answer:
    """One status that is no problem: a JSON document of `model`, or of another media type if it says so."""

    says: str
    model: type[BaseModel] | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    """Further media types, and what is in them."""
    or_else: type[BaseModel] | None = None
    """Another model that it may be, without those headers."""
    headers: Sequence[str] = ()
    """Names of `openapi.HEADERS`."""


@dataclass(frozen=True)
class Operation:
    """One method of an endpoint. Its summary is the first paragraph of its handler's docstring."""

    tag: Tag
    answers: Mapping[int, Answer]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | JobBody | None = None
    problems: Sequence[type[OrchestratorError]] = ()
    """Besides those that are possible anywhere."""
    says: str = ""
    """What the summary leaves open, in Markdown."""
    path: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The values that segments of the path may have, where not any text will do."""

    @property
    def all_problems(self) -> list[type[OrchestratorError]]:
        """Every problem that it may answer, each once."""
        return list(dict.fromkeys([*ANYWHERE, *self.problems]))
