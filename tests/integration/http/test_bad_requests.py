"""Whatever a stranger sends, the answer is a 4xx problem that names the field: never a 500, never a trace."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import psycopg
import pytest
from pydantic import SecretStr

from tests.fix_engine import World
from tests.integration.http.addresses import ALSO, HELLO, LIMIT, METHODS, NO_JOB, SUBMIT, THUMBNAIL
from tests.unit.triggers.http_client import Answer, Client

BODIES = {
    "no JSON": (b"n=3", "(body)"),
    "half a document": (b'{"n": 3', "(body)"),
    "two documents": (b'{"n": 3}{"n": 4}', "(body)"),
    "a trailing comma": (b'{"n": 3,}', "(body)"),
    "single quotes": (b"{'n': 3}", "(body)"),
    "a list": (b"[1, 2]", "(body)"),
    "a number": (b"3", "(body)"),
    "text": (b'"n"', "(body)"),
    "null": (b"null", "(body)"),
    "true": (b"true", "(body)"),
    "not UTF-8": (b'{"name": "\xff\xfe"}', "(body)"),
    "UTF-16": ('{"n": 3}'.encode("utf-16"), "(body)"),
    "binary": (bytes(range(256)), "(body)"),
    "NaN": (b'{"fail_fraction": NaN}', "(body)"),
    "Infinity": (b'{"fail_fraction": -Infinity}', "(body)"),
    "a number too large": (b'{"fail_fraction": 1e999}', "(body)"),
    "an endless number": (b'{"n": ' + b"9" * 5000 + b"}", "(body)"),
    "a huge integer": (b'{"n": ' + b"9" * 300 + b"}", "n"),
    "an integer that no double holds": (b'{"n": 9007199254740993}', "n"),
    "a name twice": (b'{"n": 3, "n": 4}', "n"),
    "endless nesting": (b'{"n": ' + b"[" * 100_000, "(body)"),
    "closed nesting": (b'{"n": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "(body)"),
    "nested objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "(body)"),
    "deep nesting": (b'{"n": ' + b"[" * 200 + b"]" * 200 + b"}", "n"),
    "a lone surrogate": (b'{"name": "\\ud800"}', "name"),
    "a lone surrogate in a name": (b'{"\\udfff": 1}', "?"),
    "NUL": (b'{"name": "a\\u0000b"}', "name"),
    "a raw control character": (b'{"name": "a\x00b"}', "(body)"),
    "NUL in a name": (b'{"a\\u0000b": 1}', "a\ufffdb"),
    "many names, the last one twice": (
        b"{" + b"".join(b'"k%d":1,' % n for n in range(90_000)) + b'"k89999":1}',
        "k89999",
    ),
    "a long name above many items": (
        b'{"' + b"x" * 300_000 + b'": [' + b"1," * 150_000 + b"1]}",
        "x" * 200 + "…",
    ),
    "many unknown fields": (b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}", "k49"),
    "text for a number": (b'{"n": "3"}', "n"),
    "a fraction for an integer": (b'{"n": 3.5}', "n"),
    "a boolean for a number": (b'{"n": true}', "n"),
    "null for a number": (b'{"n": null}', "n"),
    "a list for a number": (b'{"n": [3]}', "n"),
    "an object for text": (b'{"name": {"a": 1}}', "name"),
    "too small": (b'{"n": 0}', "n"),
    "too large": (b'{"n": 1000001}', "n"),
    "negative": (b'{"n": -1}', "n"),
    "empty text": (b'{"name": ""}', "name"),
    "long text": (b'{"name": "' + b"x" * 201 + b'"}', "name"),
    "an unknown field": (b'{"n": 3, "colour": "red"}', "colour"),
    "a wrong word": (b'{"on_failure": "explode"}', "on_failure"),
}

ENVELOPES = {
    "nothing": (b"", "job_type"),
    "no type": (b'{"parameters": {}}', "job_type"),
    "a number for a type": (b'{"job_type": 5}', "job_type"),
    "null for a type": (b'{"job_type": null}', "job_type"),
    "a list for parameters": (b'{"job_type": "hello_world", "parameters": []}', "parameters"),
    "null for parameters": (b'{"job_type": "hello_world", "parameters": null}', "parameters"),
    "text for parameters": (b'{"job_type": "hello_world", "parameters": "n=3"}', "parameters"),
    "an unknown member": (b'{"job_type": "hello_world", "params": {}}', "params"),
    "a wrong parameter": (b'{"job_type": "hello_world", "parameters": {"n": "3"}}', "parameters.n"),
    "an unknown parameter": (b'{"job_type": "hello_world", "parameters": {"x": 1}}', "parameters.x"),
    "NUL in a parameter": (
        b'{"job_type": "hello_world", "parameters": {"name": "\\u0000"}}',
        "parameters.name",
    ),
}

BAD_IDS = [
    "x",
    "1234",
    "g" * 64,
    "A" * 64,
    "0" * 63,
    "0" * 65,
    "..",
    "%00",
    "%F0%9F%90%98",
    "0" * 64 + "%0A",
    "'--",
]
ABOUT_A_JOB = [
    ("GET", "/api/jobs/status/{}"),
    ("GET", "/api/jobs/{}/results"),
    ("GET", "/api/jobs/{}/cost"),
    ("GET", "/api/jobs/{}/timeline"),
    ("GET", "/api/jobs/{}/failures"),
    ("GET", "/api/jobs/{}/coverage"),
    ("GET", "/api/jobs/{}/tasks/1/0"),
    ("POST", "/api/jobs/{}/cancel"),
    ("POST", "/api/jobs/{}/retry"),
    ("POST", "/api/jobs/{}/rerun"),
    ("GET", "/api/db/jobs/{}"),
    ("GET", "/api/db/tasks/{}"),
    ("GET", "/api/db/events/{}"),
]

LISTINGS = [
    "/api/db/jobs",
    "/api/db/tasks",
    "/api/db/tasks/{job}",
    "/api/db/events/{job}",
    "/api/jobs/{job}/results",
]
QUERIES = [
    *[
        (listing, f"limit={value}", "limit")
        for listing in LISTINGS
        for value in ("0", "-1", "1001", "x", "1.5", "1e3")
    ],
    *[
        (listing, f"cursor={value}", "cursor")
        for listing in LISTINGS
        for value in ("x", "%00", "W10", "e30", "bnVsbA", "WyJqb2JzIl0", "%F0%9F%90%98", "A" * 2000)
    ],
    *[(listing, "colour=red", "colour") for listing in LISTINGS],
    ("/api/db/jobs", "status=done", "status.0"),
    ("/api/db/jobs", "status=failed,done", "status.1"),
    ("/api/db/tasks", "status=completed_with_errors", "status.0"),
    ("/api/jobs/{job}/results", "status=queueing", "status.0"),
    ("/api/db/jobs", "hours=0", "hours"),
    ("/api/db/jobs", "hours=-3", "hours"),
    ("/api/db/jobs", "hours=nan", "hours"),
    ("/api/db/jobs", "hours=1e300", "hours"),
    ("/api/db/jobs", "hours=soon", "hours"),
    ("/api/db/tasks", "stage=0", "stage"),
    ("/api/db/tasks", "stage=99999", "stage"),
    ("/api/db/tasks", "stage=first", "stage"),
    ("/api/db/jobs", "type=%00", "type"),
    ("/api/db/jobs", "type=" + "x" * 500, "type"),
    ("/api/jobs/{job}/results", "stage=3", "stage"),
    ("/api/jobs/{job}/results", "run=2", "run"),
    ("/api/jobs/{job}/results", "run=99999999999", "run"),
    ("/api/jobs/{job}/results", "format=xlsx", "format"),
    ("/api/jobs/status/{job}", "wait=-1", "wait"),
    ("/api/jobs/status/{job}", "wait=61", "wait"),
    ("/api/jobs/status/{job}", "wait=nan", "wait"),
    ("/api/jobs/status/{job}", "wait=inf", "wait"),
    ("/api/jobs/status/{job}", "wait=long", "wait"),
    ("/api/db/stats", "x=1", "x"),
    ("/api/monitor/poison", "limit=5000", "limit"),
    ("/api/monitor/history", "hours=0.5", "hours"),
    ("/api/monitor/history", "hours=169", "hours"),
    ("/api/monitor/history", "hours=nan", "hours"),
    ("/api/jobs/{job}/logs", "level=debug", "level"),
    ("/api/jobs/{job}/logs", "task=99999999999", "task"),
    ("/api/schedules", "limit=0", "limit"),
]


def assert_problem(answer: Answer, status: int, field: str | None = None) -> None:
    """The answer is a problem (RFC 9457) of this status that names this field."""
    assert answer.status == status, answer.text()
    assert answer.mimetype == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "correlation_id", "errors"}
    assert problem["status"] == status
    assert problem["type"].startswith("urn:problem:")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"].startswith("/api/")
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]
    assert "Traceback" not in answer.text()
    assert len(answer.body) < 50_000
    if field is not None:
        assert field in [item["field"] for item in problem["errors"]], problem


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    """Whatever the test sent, nothing was written down."""
    yield
    assert world.rows("SELECT job_id FROM app.jobs") == []


@pytest.mark.usefixtures("untouched")
def test_a_bad_body_is_refused_naming_the_field(api: Client) -> None:
    for what, (body, field) in BODIES.items():
        answer = api.post(HELLO, body)
        assert answer.status == 400, (what, answer.text())
        assert_problem(answer, 400, field)


@pytest.mark.usefixtures("untouched")
def test_a_bad_body_with_the_type_inside_is_refused_naming_the_field(api: Client) -> None:
    for body, field in [*ENVELOPES.values(), *[(b, f) for b, f in BODIES.values() if f == "(body)"]]:
        assert_problem(api.post(SUBMIT, body), 400, field)


@pytest.mark.usefixtures("untouched")
def test_a_body_over_the_limit_is_refused_before_it_is_parsed(api: Client, world: World) -> None:
    limit = world.settings.max_parameters_bytes
    assert_problem(api.post(HELLO, b'{"n":' + b" " * limit + b"3}"), 413)
    assert_problem(api.post(HELLO, b"[" * (limit + 1)), 413)
    assert_problem(api.post(SUBMIT, b"x" * (limit + 5000)), 413)
    assert_problem(api.post(f"/api/jobs/{NO_JOB}/cancel", b"x" * (limit + 1)), 413)


@pytest.mark.usefixtures("untouched")
def test_an_unknown_job_type_is_answered_with_the_known_ones(api: Client) -> None:
    for answer in (
        api.post("/api/jobs/submit/hello_mars", {}),
        api.post(SUBMIT, {"job_type": "hello_mars"}),
        api.post("/api/jobs/submit/results", {}),
        api.post("/api/jobs/submit/%00", {}),
        api.post("/api/jobs/submit/" + "x" * 3000, {}),
    ):
        assert_problem(answer, 404)
        assert "hello_world" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "url"), ABOUT_A_JOB)
def test_a_bad_job_id_is_refused_and_an_unknown_one_is_not_found(api: Client, method: str, url: str) -> None:
    for job_id in BAD_IDS:
        assert_problem(api.request(method, url.format(job_id)), 400, "job_id")
    answer = api.request(method, url.format(NO_JOB))
    assert_problem(answer, 404)
    assert answer.json()["type"] == "urn:problem:job-not-found"


def test_a_bad_query_is_refused_naming_the_parameter(api: Client) -> None:
    job = api.post(HELLO, {"n": 1}).json()["job_id"]
    for url, query, field in QUERIES:
        answer = api.get(f"{url.format(job=job)}?{query}")
        assert answer.status == 400, (url, query, answer.text())
        assert_problem(answer, 400, field)


def test_a_cursor_of_another_listing_or_of_another_shape_is_refused(api: Client) -> None:
    job = api.post(HELLO, {"n": 1}).json()["job_id"]
    for values in (
        ["tasks", "2026-01-01T00:00:00+00:00", job],
        ["jobs"],
        ["jobs", 1, 2],
        ["jobs", "soon", job],
        ["jobs", "2026-01-01T00:00:00", job],
        ["jobs", "2026-01-01T00:00:00+00:00", "\u0000"],
        ["jobs", "2026-01-01T00:00:00+00:00", job, 1],
    ):
        cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
        assert_problem(api.get(f"/api/db/jobs?cursor={cursor}"), 400, "cursor")
    for index in (2**31, 2**63, 2**100, 1.5, True, None, "1"):
        cursor = base64.urlsafe_b64encode(json.dumps(["results", index]).encode()).decode().rstrip("=")
        assert_problem(api.get(f"/api/jobs/{job}/results?cursor={cursor}"), 400, "cursor")


def test_parameters_where_none_are_taken_are_refused(api: Client) -> None:
    job = api.post(HELLO, {"n": 1}).json()["job_id"]
    for action in ("cancel", "retry", "rerun"):
        assert_problem(api.post(f"/api/jobs/{job}/{action}", {"force": True}), 400, "force")
        assert_problem(api.post(f"/api/jobs/{job}/{action}", b"[1]"), 400, "(body)")
        assert_problem(api.post(f"/api/jobs/{job}/{action}?force=1"), 400, "force")
    assert_problem(api.post(f"{HELLO}?rerun=perhaps", {"n": 1}), 400, "rerun")


def test_a_wrong_method_is_told_which_are_right(api: Client) -> None:
    for right, urls in METHODS.items():
        for url in urls:
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {right} - ALSO.get(url, set()):
                answer = api.request(method, url)
                assert_problem(answer, 405, "method")
                assert right in answer.headers["Allow"].split(", ")
            assert api.request("OPTIONS", url).headers["Allow"].split(", ")[-1] == right or right in (
                "GET",
                "DELETE",
            )


def test_every_function_of_the_api_is_in_the_table_of_methods(api: Client) -> None:
    listed = sum(len(urls) for urls in METHODS.values())
    # Those of mounted applications share addresses: see tests/integration/http/catalog and features.
    own = [route for route in api.routes if not route.template.startswith(("stac", "features"))]
    assert len(own) == listed


WITHOUT_DATABASE = (
    *("livez", "readyz", "health", "metrics", "jobs/types", "openapi.json", "docs", "docs/start.js"),
    # Who did what outlives what was done.
    *("dashboard", THUMBNAIL.removeprefix("/api/"), "db/audit"),
)


def test_without_the_schema_every_endpoint_says_what_to_do(api: Client, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA app CASCADE")
    for method, urls in METHODS.items():
        for url in urls:
            # What answers all the same, or says so in words of its own.
            if "schema" in url or url.removeprefix("/api/") in WITHOUT_DATABASE:
                continue
            bodies: dict[str, object] = {SUBMIT: {"job_type": "hello_world"}, LIMIT: {"at_most": 1}}
            answer = api.request(method, url, bodies.get(url, b""))
            if url in ("/api/db/enums/diagnostic", "/api/db/functions/test"):
                assert answer.status == 200
                assert answer.json().get("equal", answer.json().get("ok")) is False
            else:
                assert_problem(answer, 503)
                assert "run migrate" in answer.json()["detail"], url


def test_a_database_that_cannot_be_reached_is_a_503_without_its_address(
    make_api: Callable[..., tuple[Client, World]],
) -> None:
    api, _ = make_api(
        database_url=SecretStr("postgresql://somebody:hunter2@127.0.0.1:1/nowhere"),
        database_timeout_seconds=1,
    )
    for url in (f"/api/jobs/status/{NO_JOB}", "/api/db/stats"):
        answer = api.get(url)
        assert_problem(answer, 503)
        assert answer.headers["Retry-After"]
        for secret in ("hunter2", "127.0.0.1", "somebody", "nowhere"):
            assert secret not in answer.text()


def test_an_error_nobody_foresaw_is_a_problem_without_its_cause(
    api: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr("repositories.diagnostics.Diagnostics.stats", explode)
    answer = api.get("/api/db/stats", {"x-correlation-id": "find-me"})
    assert_problem(answer, 500)
    assert "hunter2" not in answer.text()
    assert "find-me" in caplog.text
    assert "hunter2" in caplog.text
