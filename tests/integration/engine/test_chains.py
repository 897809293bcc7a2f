"""Chains: what follows a run is submitted once, with results of it; what cannot be says why."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from interfaces.errors import InvalidRequest, OrchestratorError, PermanentTaskError, UnknownJobType
from interfaces.follow_ups import Then
from interfaces.jobs import Submitted
from interfaces.plans import StageDefinition
from repositories.follow_ups import FollowerRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.integration.engine.test_schedules import Dies, dying

LABELLED = {"label": {"$from": "/result/files/0"}}


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Two types: `first` finds files, `second` takes a label."""
    made = make_world(callback_hosts="a.example.org", callback_secret=SecretStr("whsec_" + "QUFB" * 8))
    stage = StageDefinition("a", "work")
    made.register(
        ScriptedJob("first", [stage], aggregate=lambda s, r: {"files": ["a.tif"], "n": 7}),
        task_type("work", lambda p, c: {}),
    )
    made.register(ScriptedJob("second", [stage]))
    return made


def submit(world: World, then: dict[str, Any], job_type: str = "first", **given: Any) -> Submitted:
    asked = Then.model_validate({"job_type": "second", **then})
    return world.engine.submit(job_type, {}, correlation_id="asked", then=asked, **given)


def followers(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM app.followers ORDER BY follower_id")


def jobs(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM app.jobs ORDER BY created_at")


def test_a_job_follows_with_results_of_the_first(world: World) -> None:
    first = submit(world, {"parameters": LABELLED})
    assert world.engine.follow_up() == 0
    world.run(first.job_id)
    assert world.engine.follow_up() == 1
    assert world.engine.follow_up() == 0
    _, second = jobs(world)
    assert (second["job_type"], second["correlation_id"]) == ("second", "asked")
    assert second["parameters"] == {"label": "a.tif", "n": 1}
    [row] = followers(world)
    assert (row["state"], row["next_job_id"], row["next_run"]) == ("submitted", second["job_id"], 1)
    assert world.run(second["job_id"])["status"] == "completed"
    assert "follower_submitted" in world.events(first.job_id)
    assert world.violations() == {}


def test_what_follows_is_no_part_of_the_identity_and_asked_for_twice_it_comes_once(world: World) -> None:
    plain = world.submit("first")
    for then in ({"parameters": LABELLED}, {"parameters": LABELLED}, {"parameters": {"n": 2}}):
        asked = submit(world, then)
        assert (asked.job_id, asked.created) == (plain.job_id, False)
    world.run(plain.job_id)
    assert world.engine.follow_up() == 2
    assert [job["parameters"]["n"] for job in jobs(world)[1:]] == [1, 2]


def test_what_is_asked_for_after_the_end_follows_at_once(world: World) -> None:
    first = world.submit("first")
    world.run(first.job_id)
    submit(world, {"parameters": LABELLED})
    assert world.engine.follow_up() == 1
    assert len(jobs(world)) == 2


def test_a_chain_goes_on_and_each_takes_from_the_one_before(world: World) -> None:
    last = {
        "job_type": "second",
        "parameters": {"label": {"$join": ["after ", {"$from": "/parameters/label"}]}},
    }
    first = submit(world, {"parameters": LABELLED, "then": last})
    world.run(first.job_id)
    for _ in range(2):
        world.engine.follow_up()
        world.run(jobs(world)[-1]["job_id"])
    assert [job["parameters"].get("label") for job in jobs(world)] == ["x", "a.tif", "after a.tif"]
    assert [row["depth"] for row in followers(world)] == [1, 2]
    assert world.violations() == {}


def test_who_follows_runs_again_unless_told_otherwise(world: World) -> None:
    second = world.engine.submit("second", {"n": 7}, correlation_id="")
    world.run(second.job_id)
    first = submit(world, {"parameters": {"n": {"$from": "/result/n"}}})
    submit(world, {"parameters": {"n": {"$from": "/result/n"}}, "rerun": False})
    world.run(first.job_id)
    world.engine.follow_up()
    assert world.job(second.job_id)["run"] == 2
    assert [row["next_run"] for row in followers(world)] == [2, 2]


def test_after_a_failure_nothing_follows_that_does_not_wait_for_one(world: World) -> None:
    def fail(p: dict[str, Any], c: object) -> dict[str, Any]:
        raise PermanentTaskError("no")

    world.register(ScriptedJob("fails", [StageDefinition("a", "fail")]), task_type("fail", fail))
    first = submit(world, {"parameters": LABELLED}, job_type="fails")
    submit(world, {"when": ["failed"], "parameters": {"label": {"$from": "/status"}}}, job_type="fails")
    world.run(first.job_id)
    assert world.engine.follow_up() == 2
    skipped, submitted = followers(world)
    assert (skipped["state"], skipped["error"]) == ("skipped", "the run is failed, not completed")
    assert submitted["state"] == "submitted"
    assert jobs(world)[-1]["parameters"]["label"] == "failed"


def test_after_a_retry_what_was_skipped_follows_and_what_was_submitted_does_not_again(world: World) -> None:
    broken = [True]

    def work(p: dict[str, Any], c: object) -> dict[str, Any]:
        if broken:
            raise PermanentTaskError("no")
        return {}

    world.register(ScriptedJob("fragile", [StageDefinition("a", "mended")]), task_type("mended", work))
    first = submit(world, {"parameters": {"n": 2}}, job_type="fragile")
    submit(world, {"parameters": {"n": 3}, "when": ["failed", "completed"]}, job_type="fragile")
    world.run(first.job_id)
    world.engine.follow_up()
    broken.clear()
    world.engine.retry(first.job_id, correlation_id="")
    world.run(first.job_id)
    assert world.engine.follow_up() == 1
    assert {row["state"] for row in followers(world)} == {"submitted"}
    assert sorted(job["parameters"]["n"] for job in jobs(world)[1:]) == [2, 3]


def test_an_end_that_was_taken_back_is_not_followed(world: World) -> None:
    first = submit(world, {"when": ["cancelled", "completed"]})
    world.engine.cancel(first.job_id)
    assert world.job(first.job_id)["status"] == "cancelled"
    world.engine.retry(first.job_id, correlation_id="")
    assert world.engine.follow_up() == 1
    [row] = followers(world)
    assert (row["state"], row["due_at"]) == ("waiting", None)
    assert world.violations() == {}
    world.run(first.job_id)
    world.engine.follow_up()
    assert followers(world)[0]["state"] == "submitted"


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"label": {"$from": "/result/files/9"}}, "then.parameters.label: /result/files/9 is not there"),
        ({"label": {"$from": "/result/n"}}, "then.parameters.label: Input should be a valid string"),
        ({"label": {"$join": ["a", {"$from": "/result/files"}]}}, "then.parameters.label.1: must be text"),
    ],
)
def test_what_cannot_be_filled_in_says_why_and_may_be_asked_for_again(
    world: World, parameters: dict[str, Any], error: str
) -> None:
    first = submit(world, {"parameters": parameters})
    world.run(first.job_id)
    assert world.engine.follow_up() == 1
    [row] = followers(world)
    assert row["state"] == "failed"
    assert error in row["error"]
    assert "follower_failed" in world.events(first.job_id)
    assert world.violations() == {}
    assert world.engine.follow_up() == 0
    submit(world, {"parameters": parameters})
    assert world.engine.follow_up() == 1


def test_one_that_cannot_follow_keeps_no_other_from_it(world: World) -> None:
    first = submit(world, {"parameters": {"n": 2}})
    submit(world, {"parameters": {"n": 3}})
    world.rows("UPDATE app.followers SET request = '{\"job_type\": 1}' WHERE follower_id = 1", fetch=False)
    world.run(first.job_id)
    assert world.engine.follow_up() == 2
    assert [row["state"] for row in followers(world)] == ["failed", "submitted"]


def test_many_hosts_submit_what_follows_once(world: World) -> None:
    first = submit(world, {"parameters": {"n": 1}})
    for n in range(2, 6):
        submit(world, {"parameters": {"n": n}})
    world.run(first.job_id)
    engines = [world.engine, *(world.new_engine() for _ in range(3))]
    with ThreadPoolExecutor(4) as hosts:
        assert sum(hosts.map(lambda engine: engine.follow_up(), engines)) == 5
    assert [job["run"] for job in jobs(world)] == [1] * 6


@pytest.mark.parametrize("place", ["settle_follower", "submit_job"])
def test_whoever_dies_between_two_steps_has_done_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    first = submit(world, {"parameters": {"n": 2}})
    world.run(first.job_id)
    with monkeypatch.context() as patched:
        dying(patched, place)
        with pytest.raises(Dies):
            world.engine.follow_up()
    assert [job["job_type"] for job in jobs(world)] == ["first"]
    assert [row["state"] for row in followers(world)] == ["waiting"]
    assert world.engine.follow_up() == 1
    assert [(job["job_type"], job["run"]) for job in jobs(world)] == [("first", 1), ("second", 1)]


def test_whoever_dies_at_the_submission_has_asked_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        dying(patched, "add_follower")
        with pytest.raises(Dies):
            submit(world, {})
    assert jobs(world) == followers(world) == []


def test_who_follows_is_told_of_too(world: World) -> None:
    first = submit(world, {"callback_url": "https://A.example.org/x", "callback_events": ["completed"]})
    world.run(first.job_id)
    world.engine.follow_up()
    world.run(jobs(world)[-1]["job_id"])
    world.engine.callbacks.deliver()
    [told] = world.receiver.received
    assert (told.url, told.data["job_type"]) == ("https://a.example.org/x", "second")


def test_a_run_that_is_removed_takes_with_it_what_should_follow(world: World) -> None:
    first = submit(world, {})
    world.run(first.job_id)
    due = FollowerRepository(world.databases[0]).due(10)
    assert len(due) == 1
    world.rows("UPDATE app.jobs SET completed_at = now() - interval '91 days'", fetch=False)
    world.engine.retention.run()
    assert followers(world) == []
    assert not FollowerRepository(world.databases[0]).settle(due[0], "failed", "x")


def deep(levels: int) -> dict[str, Any]:
    return {"job_type": "second", **({"then": deep(levels - 1)} if levels > 1 else {})}


@pytest.mark.parametrize(
    ("then", "field"),
    [
        ({"parameters": {"n": "x"}}, "then.parameters.n"),
        ({"parameters": {"m": 1}}, "then.parameters.m"),
        ({"parameters": {"m": {"$from": "/result"}}}, "then.parameters.m"),
        ({"parameters": {"n": "x", "label": {"$from": "/result/n"}}}, "then.parameters.n"),
        ({"parameters": {"label": {"$from": "/outcome"}}}, "then.parameters.label"),
        ({"parameters": {"label": {"$eval": "1"}}}, "then.parameters.label"),
        ({"then": {"job_type": "second", "parameters": {"n": 1.5}}}, "then.then.parameters.n"),
        ({"callback_url": "https://b.example.org/"}, "then.callback_url"),
        ({"callback_events": ["failed"]}, "then.callback_events"),
        (deep(9), "then" + ".then" * 8),
    ],
)
def test_what_can_never_follow_is_refused_with_the_submission(
    world: World, then: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        submit(world, then)
    assert [error.field for error in raised.value.errors] == [field]
    assert jobs(world) == []


def test_an_unknown_type_is_refused_with_the_submission(world: World) -> None:
    with pytest.raises(UnknownJobType):
        submit(world, {"job_type": "nothing"})
    error: type[OrchestratorError] = UnknownJobType
    with pytest.raises(error):
        submit(world, {"then": {"job_type": "nothing"}})
    assert jobs(world) == []
    assert submit(world, deep(8)).created


def test_a_chain_back_to_its_own_job_waits_for_whoever_ends_the_run(world: World) -> None:
    job = submit(world, {"job_type": "first", "rerun": True}, "first")
    world.run(job.job_id)
    with (
        psycopg.connect(world.url) as ender,
        psycopg.connect(world.url, autocommit=True) as watching,
        ThreadPoolExecutor(1) as pool,
    ):
        # As whoever ends a run: the job's row first, then what follows it.
        ender.execute("SELECT 1 FROM app.jobs WHERE job_id = %s FOR UPDATE", [job.job_id])
        following = pool.submit(world.engine.follow_up)
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while watching.execute(waits).fetchone() is None:
            assert not following.done()
        ender.execute("SELECT app.wake_followers(%s, 1, now())", [job.job_id])
        ender.rollback()
        assert following.result(10) == 1
    assert [row["state"] for row in followers(world)] == ["submitted"]
    assert world.job(job.job_id)["run"] == 2
