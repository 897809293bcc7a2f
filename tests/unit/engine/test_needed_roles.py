"""Job types that change what all share are for operators, by whatever way they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from engine.submission import Submission
from interfaces.access import Caller, Kind, Principal, Role, calling
from interfaces.errors import RoleNeeded
from interfaces.follow_ups import Then
from interfaces.settings import Settings
from registration import job_catalog

SET_UP = {"settings": {"context": "on"}}
THEN = Then.model_validate({"job_type": "stac_setup", "parameters": SET_UP})
LATER = Then.model_validate({"job_type": "hello_world", "then": THEN.model_dump(exclude_none=True)})
ASKED: dict[str, Callable[[Submission], object]] = {
    "submitted": lambda s: s.submit("stac_setup", SET_UP, rerun=False, correlation_id="c"),
    "foreseen": lambda s: s.dry_run("stac_setup", SET_UP, rerun=False),
    "run again": lambda s: s.rerun("a" * 64, correlation_id="c"),
    "to follow": lambda s: s.submit("hello_world", {}, rerun=False, correlation_id="c", then=THEN),
    "to follow what follows": lambda s: s.dry_run("hello_world", {}, rerun=False, then=LATER),
}


def submission() -> Submission:
    jobs = Mock()
    jobs.request.return_value = ("stac_setup", SET_UP)
    jobs.submit.return_value.job_id = "a" * 64
    return Submission(Settings(), job_catalog(), jobs, *(Mock() for _ in range(5)))


def caller(role: Role, kind: Kind = "user") -> Caller:
    return Caller(Principal(kind, "ada", role), "c")


@pytest.mark.parametrize("way", ASKED)
def test_a_submitter_cannot_change_the_catalog_for_everybody(way: str) -> None:
    with (
        calling(caller(Role.SUBMITTER)),
        pytest.raises(RoleNeeded, match="stac_setup: this needs the role operator; ada has submitter"),
    ):
        ASKED[way](submission())


@pytest.mark.parametrize("way", ASKED)
@pytest.mark.parametrize(
    "who", [caller(Role.OPERATOR), caller(Role.OPERATOR, "key"), caller(Role.ANYONE, "anonymous")]
)
def test_operators_can_and_whoever_is_asked_for_nothing(way: str, who: Caller) -> None:
    with calling(who):
        ASKED[way](submission())


def test_what_the_clock_submits_was_asked_for_by_one_who_might() -> None:
    assert submission().prepare("stac_setup", SET_UP).job_type == "stac_setup"


def test_a_submitter_submits_everything_else() -> None:
    needed = {one.job_type: one.parameters_model.needed_role for one in job_catalog().all()}
    assert {name for name, role in needed.items() if role is not Role.SUBMITTER} == {"stac_setup"}
    with calling(caller(Role.SUBMITTER)):
        submission().submit("hello_world", {}, rerun=False, correlation_id="c")
