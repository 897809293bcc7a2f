"""The OpenAPI document (3.1), made of what endpoints say of themselves and of the models that validate.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence

from pydantic import JsonValue

from interfaces.access import Role
from interfaces.callbacks import KINDS
from interfaces.contracts import JsonObject
from interfaces.errors import NotAuthenticated, OrchestratorError, RoleNeeded, ServiceUnavailable
from interfaces.jobs import JobTypeInfo

from .documentation import Answer, JobBody, Operation, Tag
from .problem_types import ProblemResponses
from .routing import Endpoint
from .schemas import Schemas, one_of

VERSION = "0.1.0"
TITLE = "Geospatial orchestrator"
DESCRIPTION = """\
Submits jobs that work on geospatial files, steers them, and says what became of them.

Bodies and answers are JSON in UTF-8. An empty body is `{}`, and a query parameter without a value is none.
Times are UTC, in ISO 8601; links are paths. `HEAD` is answered wherever `GET` is, `OPTIONS` with `Allow`, any
other method is a 405 problem. Every answer carries `x-correlation-id`: the request's own, or a new one.
"""
MOUNTED = {
    "stac/api": ("STAC API", "The catalog, below `/api/stac`. It has an OpenAPI document of its own."),
    "features/api": ("Features API", "Vector layers, below `/api/features`, with a document of its own."),
    "dashboard": (
        "Operations page",
        "A page for people, which asks this API with a key they type in.",
    ),
}
"""Applications of libraries, by where they describe themselves."""
BESIDE: JsonObject = {
    "callback_url": {"type": "string", "maxLength": 2000, "description": "Who is told what becomes of it"},
    "callback_events": {
        "type": "array",
        "items": {"enum": list(KINDS), "type": "string"},
        "minItems": 1,
        "maxItems": len(KINDS),
    },
    "then": {"type": "object", "description": "What is submitted when the run has ended"},
}
"""What an envelope may hold besides the job (docs/callbacks.md, docs/schedules.md)."""
HEADERS: JsonObject = {
    "Location": {
        "description": "The job's status",
        "required": True,
        "schema": {"type": "string", "pattern": "^/api/jobs/status/[0-9a-f]{64}$"},
    },
    "Retry-After": {
        "description": "Seconds after which to ask again",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Link": {
        "description": 'The next page, with rel="next"; absent at the end',
        "schema": {"type": "string"},
    },
    "x-correlation-id": {
        "description": "What the log has about this request",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
}
ROLE = "x-required-role"
"""Of an operation: the least role that may ask for it (docs/access.md)."""
KEY_SCHEMES: JsonObject = {
    f"{name}Key{place}": {
        "type": "apiKey",
        "in": "query" if place else "header",
        "name": "code" if place else "x-functions-key",
        "description": says,
    }
    for name, says in (
        ("function", "A key of the function app. `./run` asks for none, unless started with `--auth`."),
        ("admin", "The function app's master key."),
    )
    for place in ("", "InQuery")
}
PATH_PARAMETERS: dict[str, JsonObject] = {
    "job_id": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of what was asked"},
    "stage": {"type": "integer", "minimum": 1, "maximum": 2**15 - 1},
    "task_index": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "subscription_id": {"type": "string", "format": "uuid"},
    "callback_id": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
    "poison_id": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
}
TOKEN_SCHEMES: JsonObject = {
    "entra": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of Entra ID with the app role that is named, or a higher one.",
    }
}
TOKEN_PROBLEMS: tuple[type[OrchestratorError], ...] = (NotAuthenticated, RoleNeeded, ServiceUnavailable)
KEY_MISSING: JsonObject = {"description": "The key is missing or wrong. The host says so, without a body."}


def document(
    endpoints: Sequence[Endpoint], job_types: Sequence[JobTypeInfo], *, tokens: bool = False
) -> JsonObject:
    """The OpenAPI document, whose server is the route prefix. `tokens`: asked for in place of keys."""
    return _Writer(job_types, tokens).document(endpoints)


class _Writer:
    def __init__(self, job_types: Sequence[JobTypeInfo], tokens: bool) -> None:
        self._job_types = job_types
        self._tokens = tokens
        self._schemas = Schemas()
        self._problems = ProblemResponses(self._schemas)

    def document(self, endpoints: Sequence[Endpoint]) -> JsonObject:
        paths: JsonObject = {
            path: item
            for endpoint in endpoints
            if not endpoint.documented_at
            for path, item in self._paths(endpoint)
        }
        mounts = dict.fromkeys(e.documented_at for e in endpoints if e.documented_at)
        tags: list[JsonObject] = [{"name": tag.title, "description": tag.value} for tag in Tag]
        for address in mounts:
            name, says = MOUNTED[address]
            tags.append({"name": name, "description": says, "externalDocs": {"url": address}})
        return {
            "openapi": "3.1.1",
            "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
            "servers": [{"url": "/api"}],
            "tags": [*tags],
            "paths": paths,
            "components": {
                "schemas": self._schemas.all(),
                "responses": self._problems.all(),
                "headers": HEADERS,
                "securitySchemes": TOKEN_SCHEMES if self._tokens else KEY_SCHEMES,
            },
        }

    def _paths(self, endpoint: Endpoint) -> Iterator[tuple[str, JsonObject]]:
        operations = endpoint.operations.items()
        if any(operation.body is JobBody.PARAMETERS for _, operation in operations):
            for info in self._job_types:
                path = f"/{endpoint.route}".replace("{job_type}", info.job_type)
                yield path, {m.lower(): self._operation(endpoint, m, op, info) for m, op in operations}
        else:
            yield (
                f"/{endpoint.route}",
                {
                    method.lower(): self._operation(endpoint, method, operation)
                    for method, operation in operations
                },
            )

    def _operation(
        self, endpoint: Endpoint, method: str, operation: Operation, info: JobTypeInfo | None = None
    ) -> JsonObject:
        summary, says = _told(endpoint, method), operation.says
        needed = endpoint.needs(method)
        name = endpoint.name if len(endpoint.operations) == 1 else f"{endpoint.name}_{method.lower()}"
        if info is not None:
            summary, says = f"Submit {info.job_type}", f"{info.description}\n\n{says}"
            name = f"submit_{info.job_type}"
            needed = max(needed, Role.highest([info.needed_role]))
        described: JsonObject = {
            "operationId": name,
            "tags": [operation.tag.title],
            "summary": summary,
            "responses": self._responses(needed, operation),
            "security": self._security(needed, endpoint.strongest),
            ROLE: needed.label,
        }
        if says:
            described["description"] = says
        parameters = self._parameters(endpoint, operation, info)
        if parameters:
            described["parameters"] = [*parameters]
        if operation.body is not None:
            body, required = self._body(operation, info)
            described["requestBody"] = {
                "content": {"application/json": {"schema": body}},
                "required": required,
            }
        return described

    def _parameters(
        self, endpoint: Endpoint, operation: Operation, info: JobTypeInfo | None
    ) -> list[JsonObject]:
        found: list[JsonObject] = []
        for name in re.findall(r"\{(\w+)\}", endpoint.route):
            if name == "job_type" and info is not None:
                continue
            values = operation.path.get(name)
            schema: JsonObject = {"type": "string", **({"enum": [*values]} if values else {})}
            schema = PATH_PARAMETERS.get(name, schema)
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
        return found + (self._schemas.parameters(operation.query) if operation.query else [])

    def _body(self, operation: Operation, info: JobTypeInfo | None) -> tuple[JsonObject, bool]:
        """What it takes, and whether it takes it for nothing: an empty body is an empty object."""
        if info is not None:
            return self._schemas.add(info.parameters_schema), "required" in info.parameters_schema
        if operation.body is JobBody.ENVELOPE:
            return self._envelope(), True
        assert isinstance(operation.body, type)
        needed = any(field.is_required() for field in operation.body.model_fields.values())
        return self._schemas.body(operation.body), needed

    def _envelope(self) -> JsonObject:
        envelopes: list[JsonObject] = []
        for info in self._job_types:
            parameters = self._schemas.add(info.parameters_schema)
            required = info.parameters_schema.get("required")
            envelope: JsonObject = {
                "title": f"{parameters['$ref']}".rpartition("/")[2].replace("Parameters", "Request"),
                "type": "object",
                "properties": {
                    "job_type": {"const": info.job_type, "type": "string"},
                    "parameters": parameters,
                    **BESIDE,
                },
                "required": ["job_type", *(["parameters"] if required else [])],
                "additionalProperties": False,
            }
            envelopes.append(self._schemas.add(envelope))
        mapping: JsonObject = {
            info.job_type: reference["$ref"]
            for info, reference in zip(self._job_types, envelopes, strict=True)
        }
        return {**one_of(envelopes), "discriminator": {"propertyName": "job_type", "mapping": mapping}}

    def _security(self, role: Role, strongest: Role) -> list[JsonValue]:
        """What a request needs, as alternatives. The host asks all methods of a URL for the same key."""
        if self._tokens:
            return [{"entra": [role.label]}] if role else []
        name = "admin" if strongest is Role.ADMIN else "function"
        return [{f"{name}Key": []}, {f"{name}KeyInQuery": []}] if strongest else []

    def _responses(self, role: Role, operation: Operation) -> JsonObject:
        responses: JsonObject = {
            str(status): self._answer(answer) for status, answer in operation.answers.items()
        }
        problems = operation.all_problems
        if role and self._tokens:
            problems = list(dict.fromkeys([*problems, *TOKEN_PROBLEMS]))
        for status, problem in self._problems.of(problems).items():
            responses.setdefault(status, problem)
        if role and not self._tokens:
            responses["401"] = KEY_MISSING
        return dict(sorted(responses.items()))

    def _answer(self, answer: Answer) -> JsonObject:
        content: JsonObject = {}
        if answer.model is not None:
            models = [answer.model, *([answer.or_else] if answer.or_else else [])]
            shapes: list[JsonValue] = [self._schemas.answer(model) for model in models]
            content["application/json"] = {"schema": {"anyOf": shapes} if len(shapes) > 1 else shapes[0]}
        for media, says in answer.also.items():
            kind = "object" if media == "application/json" else "string"
            content[media] = {"schema": {"type": kind, "description": says}}
        headers = _headers(answer.headers)
        if answer.or_else is not None:
            for name in answer.headers:
                described = HEADERS[name]
                assert isinstance(described, dict)
                headers[name] = {**described, "required": False}
        return {"description": answer.says, "content": content, "headers": headers}


def _told(endpoint: Endpoint, method: str) -> str:
    text = inspect.getdoc(endpoint.methods[method]) or endpoint.name
    return " ".join(text.partition("\n\n")[0].split()).rstrip(".")


def _headers(names: Iterable[str]) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "x-correlation-id")}
