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

CHECKS = {
    # The host checks keys, which is not here; that the document says which are asked for has its test.
    "ignored_auth": {"enabled": False},
    # JSON Schema cannot say that a CRS exists, or which parameters exclude each other.
    "positive_data_acceptance": {"enabled": False},
}
METHODS = ["get", "put", "post", "delete", "patch"]
"""Those that the host hands on, and the app refuses where they are not documented; it knows no TRACE."""
LARGE_BODIES = "^/jobs/submit(/(?!hello_world|list_container).*)?$"
"""Bodies with hundreds of things that may be wrong with them."""
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
            "operations": []
            if large_bodies
            else [{"include-path-regex": LARGE_BODIES, "phases": {"coverage": {"enabled": False}}}],
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


def _failed(event: events.ScenarioFinished) -> Iterator[str]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.status is Status.FAILURE and check.failure_info is not None:
                found = check.failure_info
                if check.name == "negative_data_rejection" and EMPTY.search(found.code_sample):
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


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_whatever_is_asked_the_answer_is_in_the_document(api: Client, job: str) -> None:
    calls, wrong = asked(api, job, examples=100, large_bodies=True)
    assert wrong == []
    assert calls > 10 * LEAST
