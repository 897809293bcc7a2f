"""A request as the endpoints see it: its correlation id, its ids, its query, its body."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Set
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from interfaces.contracts import JsonObject
from interfaces.errors import InvalidRequest, field_errors
from interfaces.settings import Settings
from interfaces.tracing import TraceContext

from .dependencies import Position
from .json_body import json_object
from .problems import bad_field

JOB_ID = re.compile(r"[0-9a-f]{64}")
CORRELATION_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
KEY_PARAMETERS = {"code", "clientid"}
"""Query parameters in which the Functions host accepts keys; they are its own business."""
MAX_CURSOR_CHARACTERS = 1000


class Query(BaseModel):
    """Base of every endpoint's query parameters: unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=BaseModel)


def _words(value: object) -> object:
    return [word for word in value.split(",") if word] if isinstance(value, str) else value


def _without_nul(value: object) -> object:
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise ValueError("must be text without U+0000")
    return value


Text = Annotated[str, BeforeValidator(_without_nul), Field(max_length=200)]
# The validator last: a pattern that follows it is checked, and missing in the schema.
NameAndValue = Annotated[
    str, Field(max_length=200, pattern=r"^[^=]+=[\s\S]*$"), BeforeValidator(_without_nul)
]
Words = BeforeValidator(_words)
"""A comma-separated list, which is also how the host joins a parameter that is given twice."""
Hours = Annotated[float, Field(gt=0, le=24 * 366 * 10, allow_inf_nan=False)]
Stage = Annotated[int, Field(ge=1, le=2**15 - 1)]
Run = Annotated[int, Field(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Field(ge=1)]


class Request:
    """Wraps the host's request. Reading anything malformed raises `InvalidRequest` naming the field."""

    def __init__(self, raw: func.HttpRequest) -> None:
        self._raw = raw
        self.method = raw.method
        self.path = urlsplit(raw.url).path
        self.correlation_id = _correlation_id(raw)
        given = TraceContext.parse(raw.headers.get("traceparent", ""))
        # As this version of the format has it: what later ones add behind may be of any length.
        self.traceparent = str(given) if given else None
        """Of the caller (https://www.w3.org/TR/trace-context/); None without a well-formed one."""

    def route(self, name: str) -> str:
        """A segment of the path."""
        return str(self._raw.route_params[name])

    def optional(self, name: str) -> str:
        """What of the path a route's last parameter took; empty where that is nothing."""
        return str(self._raw.route_params.get(name) or "")

    def job_id(self) -> str:
        """The job id in the path."""
        text = self.route("job_id")
        if JOB_ID.fullmatch(text) is None:
            raise bad_field("job_id", "must be 64 lower-case hex digits")
        return text

    def query(self, model: type[Q]) -> Q:
        """The query parameters, validated."""
        try:
            return model.model_validate(self._given())
        except ValidationError as error:
            errors = field_errors(error)
            raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors) from None

    def json_object(self, *, max_bytes: int) -> JsonObject:
        """The body as a JSON object; an empty body is an empty object. Raises `PayloadTooLarge`."""
        return json_object(self._raw.get_body(), max_bytes=max_bytes)

    def body_as(self, model: type[B], *, max_bytes: int) -> B:
        """The body as a model. Raises `InvalidRequest` naming the fields, without what was sent in them."""
        try:
            return model.model_validate(self.json_object(max_bytes=max_bytes))
        except ValidationError as error:
            errors = field_errors(error)
            raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors) from None

    def body(self) -> bytes:
        """The body as it was sent."""
        return bytes(self._raw.get_body())

    @property
    def url(self) -> str:
        """The URL as the host had it, escaped as it was sent."""
        return str(self._raw.url)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by their names in lower case."""
        return {name.lower(): value for name, value in self._raw.headers.items()}

    def given(self, names: Set[str]) -> str:
        """The value of the first of these parameters that the query has, in whatever case; or nothing."""
        return next((value for name, value in self._raw.params.items() if name.lower() in names), "")

    def no_body(self, *, max_bytes: int) -> None:
        """Refuse a body that says anything: here it would have no effect."""
        for name in self.json_object(max_bytes=max_bytes):
            raise bad_field(name[:200], "this request takes no parameters")

    def repeated(self, **query: str | None) -> dict[str, str | None]:
        """This request's query with some parameters changed, for links; without keys."""
        return {**self._given(), **query}

    def _given(self) -> dict[str, str]:
        params = self._raw.params.items()
        return {name: value for name, value in params if name.lower() not in KEY_PARAMETERS}


def page_size(limit: int | None, settings: Settings) -> int:
    """The limit that was asked for, or the default. Raises `InvalidRequest` above the largest allowed."""
    if limit is not None and limit > settings.max_page_size:
        raise bad_field("limit", f"must be between 1 and {settings.max_page_size}")
    return limit or min(settings.default_page_size, settings.max_page_size)


def cursor_of(listing: str, position: Position | None) -> str | None:
    """An opaque cursor; it remembers which listing it belongs to."""
    if position is None:
        return None
    text = json.dumps([listing, *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(listing: str, cursor: str | None) -> Position | None:
    """The position in a cursor. Raises `InvalidRequest` for anything but a cursor of this listing."""
    if cursor is None:
        return None
    try:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise ValueError
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values: JsonValue = json.loads(text.decode())
    except (ValueError, binascii.Error, RecursionError):
        values = None
    if not isinstance(values, list) or values[:1] != [listing]:
        raise bad_field("cursor", "not a cursor that this listing gave")
    return values[1:]


def _correlation_id(raw: func.HttpRequest) -> str:
    given = raw.headers.get("x-correlation-id", "")
    if CORRELATION_ID.fullmatch(given):
        return str(given)
    trace = TraceContext.parse(raw.headers.get("traceparent", ""))
    return trace.trace_id if trace else str(uuid4())
