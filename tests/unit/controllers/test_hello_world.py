"""hello_world plans what was asked, and counts what came of it."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers.hello_world import HelloWorld, HelloWorldParameters
from interfaces.contracts import JsonObject
from interfaces.plans import Tasks, TasksFromResults
from interfaces.states import FailurePolicy

from .outcomes import stage_result, task_results


def plan_one(**parameters: object) -> Tasks:
    plan = HelloWorld().plan(1, HelloWorldParameters.model_validate_json(json.dumps(parameters)), None)
    assert isinstance(plan, Tasks)
    return plan


def test_the_first_stage_has_one_greeting_for_each_number_from_one() -> None:
    tasks = plan_one(n=3, message="Hi", name="Ann")

    assert [task["number"] for task in tasks.parameters] == [1, 2, 3]
    assert tasks.common["message"] == "Hi"
    assert tasks.common["name"] == "Ann"


def test_greetings_are_streamed_not_held() -> None:
    tasks = plan_one(n=100_000)

    assert len(list(islice(iter(tasks.parameters), 5))) == 5
    assert not isinstance(tasks.parameters, list)


def test_each_reply_is_made_from_its_own_greeting() -> None:
    plan = HelloWorld().plan(2, HelloWorldParameters(n=3), stage_result(1, 3))

    assert isinstance(plan, TasksFromResults)
    assert plan.select == {"number": "number", "greeting": "greeting"}


@given(n=st.integers(1, 2000), fraction=st.floats(0, 1))
def test_the_failing_fraction_is_met_to_within_one_task_and_is_the_same_each_time(
    n: int, fraction: float
) -> None:
    parameters = HelloWorldParameters(n=n, fail_fraction=fraction)
    first, second = (HelloWorld().plan(1, parameters, None) for _ in range(2))
    assert isinstance(first, Tasks)
    assert isinstance(second, Tasks)
    failing = [task["fail"] for task in first.parameters]

    assert failing == [task["fail"] for task in second.parameters]
    assert abs(sum(map(bool, failing)) - n * fraction) <= 1


def test_failing_greetings_are_evenly_spread() -> None:
    tasks = plan_one(n=20, fail_fraction=0.25)

    assert [i for i, task in enumerate(tasks.parameters) if task["fail"]] == [3, 7, 11, 15, 19]


def test_the_policy_for_failures_is_the_jobs_own() -> None:
    assert plan_one(on_failure="continue").on_failure is FailurePolicy.CONTINUE
    assert plan_one().on_failure is FailurePolicy.FAIL_JOB


def test_the_result_counts_and_shows_the_first_replies() -> None:
    replies: list[JsonObject | None] = [{"number": i, "greeting": "g", "reply": f"r{i}"} for i in range(30)]

    result = HelloWorld().aggregate(
        HelloWorldParameters(n=33),
        [stage_result(1, 30, 3), stage_result(2, 30)],
        task_results(s2=replies),
    )

    assert result["greetings"] == 30
    assert result["failed_greetings"] == 3
    assert result["replies"] == 30
    assert result["first_replies"] == [f"r{i}" for i in range(10)]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": 1_000_001}, "n"),
        ({"n": "5"}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"message": ""}, "message"),
        ({"name": 7}, "name"),
        ({"fail_fraction": 1.1}, "fail_fraction"),
        ({"fail_fraction": "0.5"}, "fail_fraction"),
        ({"sleep_seconds": -1}, "sleep_seconds"),
        ({"on_failure": "explode"}, "on_failure"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_wrong_parameters_are_refused_by_the_name_of_their_field(
    parameters: dict[str, object], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        HelloWorldParameters.model_validate_json(json.dumps(parameters))

    assert [error["loc"][0] for error in caught.value.errors()] == [field]
