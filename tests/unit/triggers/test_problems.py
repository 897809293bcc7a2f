"""When to come back, as an error of ours says it."""

from __future__ import annotations

import json

import pytest

from interfaces.errors import Conflict, DependencyUnavailable, OrchestratorError, ServiceUnavailable
from triggers.http.problems import RETRY_AFTER_SECONDS, problem


@pytest.mark.parametrize(
    ("error", "kind", "retry_after"),
    [
        (ServiceUnavailable("no answer"), "service-unavailable", str(RETRY_AFTER_SECONDS)),
        (
            DependencyUnavailable("not called", dependency="blob", retry_after=12.2),
            "dependency-unavailable",
            "13",
        ),
        (Conflict("completed already"), "conflict", None),
    ],
)
def test_what_may_pass_says_when_to_ask_again(
    error: OrchestratorError, kind: str, retry_after: str | None
) -> None:
    answer = problem(error, instance="/api/jobs", correlation_id="c")
    assert json.loads(answer.get_body())["type"] == f"urn:problem:{kind}"
    assert answer.headers.get("Retry-After") == retry_after
    assert answer.status_code == error.status
