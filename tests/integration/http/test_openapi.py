"""The API does what its OpenAPI document says: schemathesis asks, in this process, and compares."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.fix_engine import World
from tests.unit.triggers.http_client import Client
from tests.wsgi import wsgi

# The host checks keys, which is not here: a stand-in that did would be compared with itself. That the
# document says which are asked for has its test (tests/unit/triggers/test_openapi.py), and so has what each
# endpoint asks of tokens of identities, which the app checks (test_access.py).
CHECKS = {"ignored_auth": {"enabled": False}}
METHODS = ["get", "put", "post", "delete", "patch"]
"""Those that the host hands on, and the app refuses where they are not documented; it knows no TRACE."""
LARGE_BODIES = "^/jobs/submit(/(?!hello_world|list_container).*)?$"
"""Bodies with hundreds of things that may be wrong with them."""
REFUSED_ALL_THE_SAME = {
    "^/jobs/submit$": "the parameters of any job type, and what follows a job: see the next",
    "^/jobs/submit/(?!hello_world|list_container)": "that a CRS exists, that a template of names has the "
    "fields that there are, and which of dozens of parameters exclude each other",
    "^/jobs/{job_id}/rerun$": "which parameters the job type of what follows takes",
    "^/schedules$": "that an expression of cron ever ticks, and which parameters the job type takes",
    "^/subscriptions$": "which hosts may be called, which is a setting: here none",
}
"""Operations that may refuse what fits their schemas, by what JSON Schema cannot say of them."""
UNKNOWN = re.compile(r"[?&](cursor=[^&']|callback_url=|run=(?!1[&'])|stage=(?![12][&']))")
"""What only the database or the settings know: cursors that a listing gave, hosts that may be called, the
runs and stages of a job."""
EMPTY = re.compile(r"[?&](?!code=)[a-z_]+=(?:[&']|$)")
"""A query parameter without a value, which the host leaves out before the app sees it."""
LEAST = 500
"""Calls that make up a run: fewer would mean that it passed most of the document over."""


def asked(api: Client, job_id: str, *, examples: int, large_bodies: bool) -> tuple[int, list[str]]:
    """How many calls schemathesis made about this job and others, and what it found wrong.

    Each constraint of a schema is kept and broken once, but those of large bodies only where they are wanted;
    and so many requests are drawn at random for each operation.
    """
    config = SchemathesisConfig.from_dict(
        {
            "parameters": {"path.job_id": job_id, "query.wait": 0},
            "generation": {
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
                "max-examples": examples,
            },
            "phases": {"stateful": {"enabled": False}, "coverage": {"unexpected-methods": METHODS}},
            "operations": _operations(large_bodies=large_bodies),
            "checks": CHECKS,
        }
    )
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", wsgi(api), config=config)
    calls, wrong = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            wrong.append(f"{event.label}: {event.value}")
        if isinstance(event, events.ScenarioFinished):
            calls += len(event.recorder.interactions)
            wrong += _failed(event)
    return calls, wrong


def _operations(*, large_bodies: bool) -> list[dict[str, object]]:
    """What is different for some operations."""
    off = {"positive_data_acceptance": {"enabled": False}}
    # Of what is drawn at random, cursors and names are never those that there are.
    refused = [".*"] if large_bodies else list(REFUSED_ALL_THE_SAME)
    different: list[dict[str, object]] = [{"include-path-regex": path, "checks": off} for path in refused]
    if not large_bodies:
        without: dict[str, object] = {"phases": {"coverage": {"enabled": False}}, "checks": off}
        different = [{"include-path-regex": LARGE_BODIES, **without}, *different]
    return different


def _failed(event: events.ScenarioFinished) -> Iterator[str]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.status is Status.FAILURE and check.failure_info is not None:
                found = check.failure_info
                if check.name == "negative_data_rejection" and EMPTY.search(found.code_sample):
                    continue
                if check.name == "positive_data_acceptance" and UNKNOWN.search(found.code_sample):
                    continue
                yield f"{event.recorder.label}: {check.name}: {found.failure.message}\n{found.code_sample}"


@pytest.fixture
def job(world: World) -> str:
    """A job with completed and failed tasks, beside one that waits, a limit, and a poison message."""
    job_id = world.submit("hello_world", n=20, fail_fraction=0.2, on_failure="continue").job_id
    world.run(job_id)
    world.submit("hello_world", n=3)
    world.send(world.settings.jobs_queue, "no message")
    world.pump(limit=3)
    world.engine.limits.set("task", "hello_reply", 5)
    return job_id


def test_what_the_api_answers_is_in_its_document(api: Client, job: str) -> None:
    calls, wrong = asked(api, job, examples=1, large_bodies=False)
    assert wrong == []
    assert calls > LEAST


@pytest.mark.parametrize("path", REFUSED_ALL_THE_SAME)
def test_what_may_refuse_what_fits_its_schema_is_there(api: Client, path: str) -> None:
    paths = api.get("/api/openapi.json").json()["paths"]
    assert [name for name in paths if re.search(path, name)]


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_whatever_is_asked_the_answer_is_in_the_document(api: Client, job: str) -> None:
    calls, wrong = asked(api, job, examples=100, large_bodies=True)
    assert wrong == []
    assert calls > 10 * LEAST
