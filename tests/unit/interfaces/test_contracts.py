"""Contracts at the engine's boundaries: what is validated, what a violation names, what passes unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue, ValidationError

from interfaces.contracts import Contract, JobId, JsonObject, StageResult, enforce_contract
from interfaces.errors import ContractViolation
from interfaces.plans import StagePlan, Tasks

JOB_ID = "a" * 64
STAGE_RESULT: dict[str, Any] = {
    "stage_number": 1,
    "stage_key": "greet",
    "status": "completed",
    "task_count": 2,
    "successful_tasks": 2,
    "failed_tasks": 0,
    "success_rate": 1.0,
    "first_task_results": [{"task_index": 0, "status": "completed", "result": {"a": 1}}],
    "completed_at": datetime(2024, 5, 1, tzinfo=UTC),
}


class Size(Contract):
    """A model that functions below take and return."""

    width: int


class double(BaseModel):  # noqa: N801 - named as the function below, on purpose
    """A model with the name of a function."""

    number: int


@enforce_contract
def widen(size: Size, by: int = 1, *, label: str = "") -> Size:
    """Adds to the width, or answers what `label` asks for."""
    answers: dict[str, Any] = {"dict": {"width": "wide"}, "none": None, "valid dict": {"width": 7}}
    answer: Size = answers.get(label, Size(width=size.width + by))
    return answer


class Desk:
    """Has a method with a contract."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @enforce_contract
    def times(self, job_id: JobId, number: int) -> int:
        """The number, times the factor."""
        return number * self.factor


def violation(call: Any, *args: Any, **kwargs: Any) -> ContractViolation:
    with pytest.raises(ContractViolation) as caught:
        call(*args, **kwargs)
    return caught.value


def test_what_fits_passes() -> None:
    assert widen(Size(width=2), 3) == Size(width=5)
    assert widen(Size(width=2), by=3, label="x") == Size(width=5)
    assert widen(size=Size(width=2)) == Size(width=3)


def test_a_wrong_argument_names_the_function_and_the_parameter() -> None:
    error = violation(widen, Size(width=2), "many")
    assert [e.field for e in error.errors] == ["by"]
    assert str(error).startswith("widen: by: Input should be a valid integer")
    assert error.status == 500


def test_a_wrong_keyword_argument_is_named_too() -> None:
    assert [e.field for e in violation(widen, Size(width=2), label=5).errors] == ["label"]


def test_a_field_within_an_argument_is_named_by_its_path() -> None:
    assert [e.field for e in violation(widen, {"width": "x", "depth": 1}).errors] == [
        "size.width",
        "size.depth",
    ]


def test_every_wrong_argument_is_named() -> None:
    error = violation(widen, 1, "many", label=2)
    assert [e.field for e in error.errors] == ["size", "by", "label"]


def test_a_missing_argument_is_named() -> None:
    assert "size" in str(violation(widen))


def test_a_wrong_return_value_names_the_function_and_the_field() -> None:
    error = violation(widen, Size(width=1), label="dict")
    assert [e.field for e in error.errors] == ["returned.width"]
    assert str(error).startswith("widen: returned.width: ")
    assert [e.field for e in violation(widen, Size(width=1), label="none").errors] == ["returned"]


def test_a_return_value_is_made_into_what_was_promised() -> None:
    assert widen(Size(width=1), label="valid dict") == Size(width=7)


def test_the_value_that_was_sent_is_not_quoted() -> None:
    assert "hunter2" not in str(violation(widen, Size(width=2), "hunter2"))


def test_methods_are_held_to_their_contract() -> None:
    desk = Desk(3)
    assert desk.times(JOB_ID, 2) == 6
    assert desk.times(JOB_ID, number=2) == 6
    error = violation(desk.times, "A" * 64, 2)
    assert [e.field for e in error.errors] == ["job_id"]
    assert str(error).startswith("Desk.times: job_id: ")


def test_a_validation_error_raised_inside_passes_unchanged() -> None:
    raised: list[ValidationError] = []

    def parse(text: str) -> Size:
        try:
            return Size.model_validate_json(text)
        except ValidationError as error:
            raised.append(error)
            raise

    with pytest.raises(ValidationError) as caught:
        enforce_contract(parse)('{"width": "x"}')
    assert caught.value is raised[0]
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("title", ["double", "function", "at", "locals", "test_contracts"])
def test_a_validation_error_raised_inside_passes_whatever_its_model_is_called(title: str) -> None:
    model = type(title, (double,), {"__module__": __name__})

    def double_it(number: str) -> int:
        return int(model(number=number).number) * 2

    double_it.__name__ = double_it.__qualname__ = "double"
    with pytest.raises(ValidationError, match=f"for {title}"):
        enforce_contract(double_it)("x")


def test_a_violation_inside_keeps_the_name_of_the_inner_function() -> None:
    @enforce_contract
    def outer(by: str) -> Size:
        return widen(Size(width=1), by)  # type: ignore[arg-type]

    assert str(violation(outer, "x")).startswith("widen: by: ")


def test_other_errors_raised_inside_pass_unchanged() -> None:
    @enforce_contract
    def divide(by: int) -> float:
        if by < 0:
            raise ValueError("negative")
        return 1 / by

    with pytest.raises(ZeroDivisionError):
        divide(0)
    with pytest.raises(ValueError, match=r"^negative$"):
        divide(-1)


def test_a_function_keeps_its_name_and_documentation() -> None:
    assert (widen.__name__, widen.__doc__) == (
        "widen",
        "Adds to the width, or answers what `label` asks for.",
    )


def test_a_plan_that_is_none_of_the_kinds_is_refused() -> None:
    def plan(answer: Any) -> StagePlan:
        return answer  # type: ignore[no-any-return]

    checked = enforce_contract(plan)
    assert checked(Tasks([{"i": 1}], common={"a": 1})) == Tasks([{"i": 1}], common={"a": 1})
    wrongs: list[Any] = [None, [{"i": 1}], "all of them", {"parameters": []}, Tasks]
    for wrong in wrongs:
        error = violation(checked, wrong)
        assert [e.field for e in error.errors] == ["returned"]
        assert "should be one of Tasks, TasksFromItems" in str(error)


def test_the_tasks_of_a_plan_are_not_consumed_by_looking_at_it() -> None:
    asked: list[int] = []

    def sets() -> Iterator[dict[str, JsonValue]]:
        for i in range(3):
            asked.append(i)
            yield {"i": i}

    @enforce_contract
    def plan() -> StagePlan:
        return Tasks(sets())

    answer = plan()
    assert asked == []
    assert isinstance(answer, Tasks)
    assert len(list(answer.parameters)) == 3


def test_an_answer_that_json_cannot_carry_is_refused() -> None:
    @enforce_contract
    def aggregate() -> JsonObject:
        return {"files": {"when": datetime(2024, 5, 1, tzinfo=UTC)}}  # type: ignore[dict-item]

    assert violation(aggregate).errors[0].field.startswith("returned.files")


def test_a_stage_result_has_every_field_of_the_contract() -> None:
    result = StageResult(**STAGE_RESULT)
    assert result.first_task_results[0].result == {"a": 1}
    assert result.metadata == {}
    assert StageResult.model_validate_json(result.model_dump_json()) == result
    with pytest.raises(ValidationError, match="frozen"):
        result.task_count = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("stage_number", 0),
        ("status", "done"),
        ("status", "queued"),
        ("task_count", -1),
        ("successful_tasks", -1),
        ("failed_tasks", 1.5),
        ("success_rate", 1.01),
        ("success_rate", -0.1),
        ("first_task_results", [{"task_index": -1, "status": "completed"}]),
        ("first_task_results", [{"task_index": 0, "status": "greeted"}]),
        ("completed_at", "yesterday"),
        ("metadata", {"a": {1, 2}}),
        ("elapsed", 3),
    ],
)
def test_a_stage_result_refuses_a_wrong_field_by_name(field: str, wrong: object) -> None:
    with pytest.raises(ValidationError) as caught:
        StageResult.model_validate(STAGE_RESULT | {field: wrong})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize("field", sorted(STAGE_RESULT))
def test_a_stage_result_misses_every_field_by_name(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StageResult.model_validate({k: v for k, v in STAGE_RESULT.items() if k != field})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
