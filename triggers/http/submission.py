"""Submit a job, and steer it: cancel, retry, run again. And which types of jobs there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import azure.functions as func
from pydantic import Field, JsonValue, ValidationError

from interfaces.access import Role
from interfaces.contracts import JsonObject
from interfaces.costs import DryRun
from interfaces.errors import (
    Conflict,
    FieldError,
    InvalidParameters,
    InvalidRequest,
    JobNotFound,
    PayloadTooLarge,
    UnknownJobType,
    field_errors,
)
from interfaces.follow_ups import FollowUps, Then
from interfaces.jobs import Changed, Submitted

from .callbacks import CallbackQuery
from .dependencies import HttpDependencies
from .documentation import DATABASE, Answer, JobBody, Operation, Tag
from .documents.jobs import ChangedJob, JobTypes, SubmittedJob
from .problems import bad_field
from .requests import Query, Request
from .responses import answer, job_links, path
from .routing import Endpoint, Handler

ENVELOPE_BYTES = 4096
"""What the other members may add to the parameters in a body that holds them."""
ENVELOPE = ("job_type", "parameters", "callback_url", "callback_events", "then")
POLL_SECONDS = "1"


class SubmitQuery(CallbackQuery):
    """`rerun=true`: start a new run even of a job that has completed."""

    rerun: Annotated[bool, Field(description="Start a new run also of a job that has completed")] = False
    dry_run: Annotated[
        bool, Field(description="Say what would be done and what it is likely to take; do nothing")
    ] = False


ON_ITS_WAY = ("Location", "Retry-After")
SUBMITTED = {
    202: Answer("Queued: a new job, or a new run of it", SubmittedJob, headers=ON_ITS_WAY),
    200: Answer("There already, live or completed: nothing was queued", SubmittedJob, headers=ON_ITS_WAY),
}
MAY_BE_DRY = {
    202: SUBMITTED[202],
    200: Answer(
        "There already: nothing was queued. Or what `dry_run` foresees", SubmittedJob, or_else=DryRun
    ),
}
SUBMIT = Operation(
    Tag.JOBS,
    MAY_BE_DRY,
    query=SubmitQuery,
    body=JobBody.ENVELOPE,
    problems=(InvalidParameters, UnknownJobType, PayloadTooLarge, *DATABASE),
    says="The same parameters again are the same job. An empty body is `{}`.",
)
SUBMIT_TYPE = replace(SUBMIT, body=JobBody.PARAMETERS)
CANCEL = Operation(
    Tag.JOBS,
    {
        202: Answer("It stops: nothing of it is begun any more", ChangedJob, headers=ON_ITS_WAY),
        200: Answer("That was asked before", ChangedJob, headers=ON_ITS_WAY),
    },
    problems=(JobNotFound, Conflict, PayloadTooLarge, *DATABASE),
)
RETRY = replace(
    CANCEL, answers={202: Answer("They are queued, within the same run", ChangedJob, headers=ON_ITS_WAY)}
)
RERUN = Operation(
    Tag.JOBS,
    SUBMITTED,
    body=FollowUps,
    problems=(JobNotFound, Conflict, InvalidParameters, UnknownJobType, PayloadTooLarge, *DATABASE),
)
TYPES = Operation(Tag.JOBS, {200: Answer("What can be submitted", JobTypes)})


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    calls = Submission(api)
    return [
        _post("jobs_submit", "jobs/submit", calls.submit, SUBMIT, dispatches=True),
        _post("jobs_submit_type", "jobs/submit/{job_type}", calls.submit_type, SUBMIT_TYPE, dispatches=True),
        Endpoint("jobs_types", "jobs/types", {"GET": calls.types}, Role.READER, operations={"GET": TYPES}),
        # Named to come after jobs_status and jobs_submit, whose routes match jobs/status/cancel too.
        _post("jobs_with_id_cancel", "jobs/{job_id}/cancel", calls.cancel, CANCEL),
        _post("jobs_with_id_rerun", "jobs/{job_id}/rerun", calls.rerun, RERUN, dispatches=True),
        _post("jobs_with_id_retry", "jobs/{job_id}/retry", calls.retry, RETRY, dispatches=True),
    ]


def _post(
    name: str, route: str, handler: Handler, operation: Operation, *, dispatches: bool = False
) -> Endpoint:
    return Endpoint(
        name,
        route,
        {"POST": handler},
        Role.SUBMITTER,
        dispatches=dispatches,
        operations={"POST": operation},
    )


class Submission:
    """Translates between HTTP and the engine's calls."""

    def __init__(self, api: HttpDependencies) -> None:
        self._jobs = api.jobs
        self._max_bytes = api.settings.max_parameters_bytes

    def submit(self, request: Request) -> func.HttpResponse:
        """`job_type` and `parameters` in the body."""
        query = request.query(SubmitQuery)
        # What follows lies within the same limit.
        body = request.json_object(max_bytes=self._max_bytes + ENVELOPE_BYTES)
        for name in body:
            if name not in ENVELOPE:
                raise bad_field(name[:200], f"unknown field; known are {', '.join(ENVELOPE)}")
        job_type = body.get("job_type")
        if not isinstance(job_type, str):
            raise bad_field("job_type", "must be text" if "job_type" in body else "is missing")
        parameters = body.get("parameters", {})
        if not isinstance(parameters, dict):
            raise bad_field("parameters", "must be a JSON object")
        beside: JsonObject = {
            name: body[name] for name in ("callback_url", "callback_events") if name in body
        }
        query = _with(query, beside)
        then = _then(body["then"]) if "then" in body else None
        try:
            return self._submit(request, job_type, parameters, query, then)
        except InvalidParameters as error:
            raise _inside_parameters(error) from None

    def submit_type(self, request: Request) -> func.HttpResponse:
        """The type in the path; the body is the parameters."""
        query = request.query(SubmitQuery)
        parameters = request.json_object(max_bytes=self._max_bytes)
        return self._submit(request, request.route("job_type"), parameters, query)

    def cancel(self, request: Request) -> func.HttpResponse:
        """Ask a job to stop: 202 when it will, 200 when it was asked before."""
        job_id = self._about(request)
        return _changed(self._jobs.cancel(job_id))

    def retry(self, request: Request) -> func.HttpResponse:
        """Queue the failed and cancelled tasks of an ended job again."""
        job_id = self._about(request)
        return _changed(self._jobs.retry(job_id, correlation_id=request.correlation_id))

    def rerun(self, request: Request) -> func.HttpResponse:
        """Start a new run of an ended job; who is told of it, and what follows, is in the body."""
        request.query(Query)
        asked = request.body_as(FollowUps, max_bytes=self._max_bytes + ENVELOPE_BYTES)
        if asked.callback_url is None and asked.callback_events is not None:
            raise bad_field("callback_events", "is given without a callback_url")
        return self._submitted(
            self._jobs.rerun(
                request.job_id(),
                correlation_id=request.correlation_id,
                callback=asked.callback(),
                then=asked.then,
            )
        )

    def types(self, request: Request) -> func.HttpResponse:
        """Every job type with the JSON Schema of its parameters."""
        request.query(Query)
        types = self._jobs.job_types()
        return answer(
            {
                "job_types": [
                    {
                        **info.model_dump(mode="json"),
                        "links": {"submit": path("jobs", "submit", info.job_type)},
                    }
                    for info in types
                ]
            }
        )

    def _submit(
        self,
        request: Request,
        job_type: str,
        parameters: JsonObject,
        query: SubmitQuery,
        then: Then | None = None,
    ) -> func.HttpResponse:
        if query.dry_run:
            foreseen = self._jobs.dry_run(
                job_type, parameters, rerun=query.rerun, callback=query.callback(), then=then
            )
            return answer(foreseen.model_dump(mode="json"))
        submitted = self._jobs.submit(
            job_type,
            parameters,
            rerun=query.rerun,
            correlation_id=request.correlation_id,
            callback=query.callback(),
            then=then,
        )
        return self._submitted(submitted)

    def _submitted(self, submitted: Submitted) -> func.HttpResponse:
        links = job_links(submitted.job_id)
        return answer(
            {**submitted.model_dump(mode="json"), "links": links},
            status=202 if submitted.created else 200,
            headers={"Location": links["status"], "Retry-After": POLL_SECONDS},
        )

    def _about(self, request: Request) -> str:
        """The job id, of a request that takes nothing else."""
        request.query(Query)
        request.no_body(max_bytes=self._max_bytes)
        return request.job_id()


def _with(query: SubmitQuery, beside: JsonObject) -> SubmitQuery:
    """What the body says beside the parameters, in place of the query's. Raises `InvalidRequest`."""
    try:
        return SubmitQuery.model_validate({**query.model_dump(exclude_unset=True), **beside})
    except ValidationError as error:
        errors = field_errors(error)
        raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors) from None


def _then(value: JsonValue) -> Then:
    """What is to follow. Raises `InvalidRequest` naming the field."""
    try:
        return Then.model_validate(value)
    except ValidationError as error:
        errors = field_errors(error, prefix="then")
        raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors) from None


def _changed(changed: Changed) -> func.HttpResponse:
    links = job_links(changed.job_id)
    return answer(
        {**changed.model_dump(mode="json"), "links": links},
        status=202 if changed.changed else 200,
        headers={"Location": links["status"], "Retry-After": POLL_SECONDS},
    )


def _inside_parameters(error: InvalidParameters) -> InvalidParameters:
    """The same error with its fields named as they lie in a body that holds the parameters as a member."""
    errors = [
        item
        if item.field == "parameters"
        else FieldError(
            field=f"parameters.{item.field}" if item.field != "(body)" else "parameters", reason=item.reason
        )
        for item in error.errors
    ]
    return InvalidParameters(
        "; ".join(f"{e.field}: {e.reason}" for e in errors) or error.detail, errors=errors
    )
