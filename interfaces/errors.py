"""The tree of errors. Each knows its HTTP status; a trigger maps it once to RFC 9457 problem details.

OrchestratorError
├── InvalidRequest            400  bad JSON, bad id, bad query parameter
│   └── InvalidParameters     400  a job's or a task's parameters do not fit their model
├── NotAuthenticated          401  who calls is not known, or not believed
├── Forbidden                 403
│   └── RoleNeeded            403  who calls is known, and may not do this
├── NotFound                  404  JobNotFound, UnknownJobType, ContainerNotFound, BlobNotFound
├── MethodNotAllowed          405  the URL is right, the method is not
├── Conflict                  409  the state of the job does not allow it
├── MigrationError            409  the schema cannot be brought to this release, or not by this role
├── PayloadTooLarge           413
├── TooManyRequests           429  the caller has made as many as it may
├── ServiceUnavailable        503  database or storage cannot be reached
│   ├── DependencyUnavailable 503  the dependency itself is to blame, and is left alone for a while
│   └── CatalogMissing        503  the database has no STAC catalog yet
├── RegistrationError              wrong catalog: raised at start, never answered
├── ContractViolation         500  a boundary was handed the wrong thing
└── TaskError                      raised by handlers
    ├── PermanentTaskError         retrying cannot help: fails at once
    ├── TaskCancelled              the job was cancelled while the handler ran
    ├── LeaseLost                  another worker owns the task now; nothing this attempt writes counts
    └── TaskTimedOut               the attempt ran longer than its task type allows
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError


class FieldError(BaseModel):
    """One thing wrong with one field: `field` is its dotted path, `reason` says what was expected."""

    field: str
    reason: str


class OrchestratorError(Exception):
    """Base of every error of ours."""

    status = 500
    title = "Internal error"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)


class InvalidRequest(OrchestratorError):
    """The request cannot be understood."""

    status = 400
    title = "Invalid request"


class InvalidParameters(InvalidRequest):
    """Parameters do not fit the model of their job type or task type."""

    title = "Invalid parameters"

    @classmethod
    def from_validation(cls, error: ValidationError, *, prefix: str = "") -> InvalidParameters:
        """Name every field of a Pydantic error, without echoing the value that was sent."""
        errors = field_errors(error, prefix=prefix)
        return cls("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors)


class Forbidden(OrchestratorError):
    """The operation is not allowed here."""

    status = 403
    title = "Forbidden"


class NotAuthenticated(OrchestratorError):
    """Who calls is not known: no token, or one that does not hold."""

    status = 401
    title = "Not authenticated"

    def __init__(self, detail: str, *, challenge: str = "Bearer", sign_in: str = "") -> None:
        super().__init__(detail)
        self.challenge = challenge
        self.sign_in = sign_in
        """Where a person signs in; empty where nobody can."""


class RoleNeeded(Forbidden):
    """Who calls is known, and lacks the role that this needs."""

    title = "Role needed"


class NotFound(OrchestratorError):
    """What was asked for does not exist."""

    status = 404
    title = "Not found"


class JobNotFound(NotFound):
    """No job has this id."""

    title = "Job not found"


class UnknownJobType(NotFound):
    """No job type of this name is registered."""

    title = "Unknown job type"


class ContainerNotFound(NotFound):
    """The blob container does not exist."""

    title = "Container not found"


class BlobNotFound(NotFound):
    """The blob does not exist."""

    title = "Blob not found"


class AccessDenied(Forbidden):
    """Storage refuses this identity."""

    title = "Access denied"


class MethodNotAllowed(OrchestratorError):
    """The URL is right, the method is not."""

    status = 405
    title = "Method not allowed"

    def __init__(self, method: str, allowed: str) -> None:
        reason = f"{method} is not answered here, only {allowed}"
        super().__init__(reason, errors=[FieldError(field="method", reason=reason)])
        self.allowed = allowed


class Conflict(OrchestratorError):
    """The state of the job does not allow this."""

    status = 409
    title = "Conflict"


class MigrationError(OrchestratorError):
    """The database's history and this release's files disagree, or the schema is another role's to change."""

    status = 409
    title = "Migration refused"


class PayloadTooLarge(OrchestratorError):
    """The body is larger than the limit."""

    status = 413
    title = "Payload too large"


class TooManyRequests(OrchestratorError):
    """The caller has made as many requests as it may for now; `retry_after` seconds later it may again."""

    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ServiceUnavailable(OrchestratorError):
    """A service this one depends on cannot be reached; trying again later may help."""

    status = 503
    title = "Service unavailable"


class DependencyUnavailable(ServiceUnavailable):
    """A dependency fails whatever is asked of it; it is not called again for `retry_after` seconds."""

    title = "Dependency unavailable"

    def __init__(self, detail: str, *, dependency: str, retry_after: float) -> None:
        super().__init__(detail)
        self.dependency = dependency
        self.retry_after = retry_after


class CatalogMissing(ServiceUnavailable):
    """The database has no STAC catalog, or one that lacks what this release calls."""

    title = "Catalog missing"


class RegistrationError(OrchestratorError):
    """The catalogs contradict themselves; the process must not start."""


class ContractViolation(OrchestratorError):
    """A component handed over, or returned, something that its contract excludes."""

    title = "Contract violation"


class TaskError(OrchestratorError):
    """Something went wrong inside a handler; retried as the task type's policy says."""


class PermanentTaskError(TaskError):
    """Retrying cannot help (missing blob, broken file, bad parameters): the task fails at once."""


class TaskCancelled(TaskError):
    """The job was cancelled while the handler ran. Where it was not, who raises this has failed."""


class LeaseLost(TaskError):
    """Another attempt owns the task; whatever this one still does has no effect."""


class TaskTimedOut(TaskError):
    """The attempt ran longer than its task type allows."""


def field_errors(error: ValidationError, *, prefix: str = "") -> list[FieldError]:
    """Every failing field of a Pydantic error as a dotted path with a reason."""
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join([prefix] * bool(prefix) + [str(part) for part in item["loc"]]) or "(body)"
        found.append(FieldError(field=path, reason=item["msg"]))
    return found
