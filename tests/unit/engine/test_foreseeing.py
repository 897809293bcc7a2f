"""What a submission would do is told as it would be done, and no more is expected than is known."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from engine.foreseeing import Foresight, decided, estimated, expected, relevant
from interfaces.costs import PastStage, Usage
from interfaces.settings import Settings
from interfaces.states import JobStatus
from registration import job_catalog

HELLO = job_catalog().get("hello_world")


def past(
    stage: int,
    tasks: int,
    seconds: float,
    *,
    job: str = "a",
    run: int = 1,
    same: bool = False,
    planning: float = 0.0,
) -> PastStage:
    usage = Usage(attempts=tasks if seconds else 0, seconds=seconds, gb_seconds=seconds / 4, operations=tasks)
    return PastStage(
        job_id=job * 64,
        run=run,
        same_job=same,
        planning_seconds=planning,
        stage=stage,
        tasks=tasks,
        usage=usage,
    )


@pytest.mark.parametrize(
    ("status", "rerun", "creates", "says"),
    [
        (None, False, True, "new one"),
        (JobStatus.QUEUED, True, False, "is the answer"),
        (JobStatus.PROCESSING, False, False, "is the answer"),
        (JobStatus.COMPLETED, False, False, "unless rerun=true"),
        (JobStatus.COMPLETED, True, True, "a new run is asked for"),
        (JobStatus.COMPLETED_WITH_ERRORS, True, True, "a new run is asked for"),
        (JobStatus.FAILED, False, True, "a new run of it would start"),
        (JobStatus.CANCELLED, False, True, "a new run of it would start"),
    ],
)
def test_what_a_submission_does_is_said_with_its_reason(
    status: JobStatus | None, rerun: bool, creates: bool, says: str
) -> None:
    decision, reason = decided(status, rerun=rerun)
    assert decision is creates
    assert says in reason


def test_without_past_runs_only_the_first_stage_is_known() -> None:
    first, second = expected(HELLO, 30, [])
    assert (first.known, second.known) == ("exactly", "unknown")
    assert first.tasks is not None
    assert (first.tasks.mean, first.tasks.least, first.tasks.most) == (30, 30, 30)
    assert (second.tasks, first.usage_of_a_task) == (None, None)
    assert estimated([first, second], []) is None


def test_later_stages_are_expected_as_they_were_and_a_task_takes_what_tasks_took() -> None:
    runs = [
        *(past(1, 10, 10.0), past(2, 10, 40.0)),
        *(past(1, 30, 30.0, job="b"), past(2, 20, 20.0, job="b")),
    ]
    stages = expected(HELLO, 100, runs)
    second = stages[1].tasks
    assert second is not None
    assert (stages[1].known, second.mean, second.least, second.most) == ("past", 15, 10, 20)
    estimate = estimated(stages, runs)
    assert estimate is not None
    assert (estimate.based_on, estimate.of) == (2, "this job type")
    assert estimate.usage.seconds == pytest.approx(100 * 1.0 + 15 * 2.0)
    assert estimate.largest_gb_seconds == pytest.approx(50 / 4)


def test_a_run_that_ended_before_a_stage_had_no_tasks_in_it() -> None:
    stages = expected(HELLO, 1, [past(1, 1, 1.0), past(1, 1, 1.0, job="b"), past(2, 8, 1.0, job="b")])
    second = stages[1].tasks
    assert second is not None
    assert (second.mean, second.least, second.most) == (4, 0, 8)


def test_runs_that_nobody_measured_tell_how_many_tasks_but_not_what_they_took() -> None:
    unmeasured = [past(1, 5, 0), past(2, 5, 0)]
    stages = expected(HELLO, 5, unmeasured)
    assert (stages[1].known, stages[1].usage_of_a_task) == ("past", None)
    assert estimated(stages, unmeasured) is None
    mixed = [*unmeasured, past(1, 5, 10.0, job="b"), past(2, 5, 5.0, job="b")]
    estimate = estimated(expected(HELLO, 5, mixed), mixed)
    assert estimate is not None
    assert estimate.based_on == 1
    assert estimate.usage.seconds == pytest.approx(15.0)


def test_planning_is_told_once_a_run_of_those_in_which_it_was_measured() -> None:
    runs = [
        *(past(1, 10, 1.0, planning=2.0), past(2, 10, 1.0, planning=2.0)),
        past(1, 10, 1.0, job="b", planning=4.0),
        past(1, 10, 1.0, job="c"),
    ]
    estimate = estimated(expected(HELLO, 10, runs), runs)
    assert estimate is not None
    assert estimate.planning_seconds is not None
    spread = estimate.planning_seconds
    assert (spread.mean, spread.least, spread.most) == (3, 2, 4)
    unknown = estimated(expected(HELLO, 10, runs[-1:]), runs[-1:])
    assert unknown is not None
    assert unknown.planning_seconds is None


def test_runs_of_the_same_job_tell_more_than_others_of_its_type() -> None:
    other, same = past(1, 100, 100.0, job="b"), past(1, 3, 3.0, same=True)
    assert relevant([other, same]) == [same]
    assert relevant([other]) == [other]
    estimate = estimated(expected(HELLO, 3, [same]), [same])
    assert estimate is not None
    assert (estimate.based_on, estimate.of) == (1, "this job")


def nobody_knows() -> Mock:
    return Mock(standing=Mock(return_value=(None, 0)), past_stages=Mock(return_value=[]))


@pytest.mark.parametrize("controller", job_catalog().all(), ids=lambda one: one.job_type)
def test_the_first_stage_of_every_job_type_is_known_exactly(controller: Any) -> None:
    model = controller.parameters_model
    [example] = model.model_json_schema()["examples"]
    parameters = model.model_validate(example).model_dump(mode="json")
    found = Foresight(Settings(), nobody_knows()).dry_run("0" * 64, controller, parameters, rerun=False)
    assert (found.would_create, found.run, found.stages[0].known) == (True, 1, "exactly")
    assert len(found.stages) == len(controller.stages)


def test_more_tasks_than_a_stage_may_have_are_told_before() -> None:
    foresight = Foresight(Settings(max_tasks_per_stage=10), nobody_knows())
    parameters = HELLO.parameters_model(n=11).model_dump(mode="json")
    found = foresight.dry_run("0" * 64, HELLO, parameters, rerun=False)
    assert found.note == "the job would fail: more than 10 tasks in a stage"
