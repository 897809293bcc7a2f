"""Schedules: each tick submits its job once, however many fire; of missed ones the last is made up for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from interfaces.errors import Conflict, InvalidRequest, NotFound, UnknownJobType
from interfaces.follow_ups import NewSchedule, Schedule
from interfaces.jobs import NewJob
from interfaces.plans import StageDefinition
from repositories.follow_ups import ScheduleRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    made = make_world()
    made.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    return made


def schedule(world: World, name: str = "nightly", cron: str = "*/5 * * * *", **given: Any) -> Schedule:
    new = NewSchedule.model_validate({"name": name, "cron": cron, "job_type": "job", **given})
    return world.engine.schedules.create(new)


def fall_due(world: World, ago: str = "0 s", name: str = "nightly") -> None:
    """The next tick came that long ago, at a time of the schedule's."""
    world.rows(
        "UPDATE app.schedules SET next_at = date_bin('5 min', now() - %s::interval, '2026-01-01')"
        " WHERE name = %s",
        *(ago, name),
        fetch=False,
    )


def ticks(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM app.schedule_ticks ORDER BY tick_at")


def listed(world: World) -> list[Schedule]:
    return world.engine.schedules.listed(after=None, limit=100)[0]


def runs(world: World) -> list[tuple[str, int]]:
    return [(row["job_type"], row["run"]) for row in world.rows("SELECT job_type, run FROM app.jobs")]


def test_a_tick_submits_its_job_and_moves_on(world: World) -> None:
    made = schedule(world)
    assert made.next_at > datetime.now(UTC) - timedelta(minutes=1)
    assert world.engine.schedules.fire() == 0
    fall_due(world)
    assert world.engine.schedules.fire() == 1
    assert world.engine.schedules.fire() == 0
    [tick] = ticks(world)
    assert (tick["run"], tick["created"], tick["missed_since"], tick["error"]) == (1, True, None, None)
    assert world.run(tick["job_id"])["status"] == "completed"
    assert world.job(tick["job_id"])["correlation_id"].startswith("schedule:nightly:2")
    found, shown = world.engine.schedules.one("nightly")
    assert found.next_at > tick["tick_at"]
    assert [one.tick_at for one in shown] == [tick["tick_at"]]
    [listed], _ = world.engine.schedules.listed(after=None, limit=10)
    assert listed.last_tick is not None
    assert listed.last_tick.job_id == tick["job_id"]
    assert world.violations() == {}


def test_the_same_parameters_are_the_same_job_and_run_again(world: World) -> None:
    schedule(world)
    for run in (1, 2, 3):
        fall_due(world, f"{20 - 5 * run} min")
        # As if only this tick had come: the ones since are the next firings'.
        world.rows("DELETE FROM app.schedule_ticks WHERE run = %s", run, fetch=False)
        assert world.engine.schedules.fire() == 1
        world.rows(
            "UPDATE app.schedule_ticks SET tick_at = tick_at - %s * interval '1 h'", 4 - run, fetch=False
        )
        job_id = ticks(world)[-1]["job_id"]
        world.run(job_id)
    assert runs(world) == [("job", 3)]
    assert [(tick["run"], tick["created"]) for tick in sorted(ticks(world), key=lambda t: t["run"])] == [
        (run, True) for run in (1, 2, 3)
    ]


def test_while_its_job_is_at_work_a_tick_starts_no_other_run(world: World) -> None:
    schedule(world)
    job = world.submit("job")
    fall_due(world)
    assert world.engine.schedules.fire() == 1
    [tick] = ticks(world)
    assert (tick["job_id"], tick["run"], tick["created"]) == (job.job_id, 1, False)


def test_of_missed_ticks_the_last_one_is_made_up_for(world: World) -> None:
    schedule(world)
    fall_due(world, "3 hours")
    [before] = world.rows("SELECT next_at FROM app.schedules")
    assert world.engine.schedules.fire() == 1
    assert world.engine.schedules.fire() == 0
    [tick] = ticks(world)
    assert tick["missed_since"] == before["next_at"]
    [late] = world.rows(
        "SELECT now() - tick_at < interval '5 min' AS last, tick_at <= now() AS past FROM app.schedule_ticks"
    )
    assert late == {"last": True, "past": True}
    [after] = world.rows("SELECT next_at > now() AS ahead FROM app.schedules")
    assert after["ahead"]


def test_a_tick_may_be_a_part_of_the_parameters(world: World) -> None:
    parameters = {"label": {"$join": ["day ", {"$from": "/tick/date"}, {"$from": "/tick/hour"}]}}
    schedule(world, parameters=parameters, time_zone="Asia/Kathmandu")
    fall_due(world)
    world.engine.schedules.fire()
    form = '"day "YYYY-MM-DDHH24'
    [row] = world.rows(
        "SELECT parameters ->> 'label' = to_char(tick_at AT TIME ZONE 'Asia/Kathmandu', %s) AS ok"
        " FROM app.jobs JOIN app.schedule_ticks USING (job_id)",
        form,
    )
    assert row["ok"]


def test_many_hosts_fire_a_tick_once(world: World) -> None:
    for n in range(5):
        schedule(world, f"n{n}", parameters={"n": n + 1})
        fall_due(world, name=f"n{n}")
    engines = [world.engine, *(world.new_engine() for _ in range(3))]
    with ThreadPoolExecutor(4) as hosts:
        fired = list(hosts.map(lambda engine: engine.schedules.fire(), engines))
    assert sum(fired) == 5
    assert len(ticks(world)) == 5
    assert runs(world) == [("job", 1)] * 5


class Dies(Exception):
    pass


@pytest.mark.parametrize("place", ["take_tick", "submit_job", "record_tick"])
def test_whoever_dies_between_two_steps_has_done_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    schedule(world)
    fall_due(world)
    repository = ScheduleRepository(world.databases[0])
    [due] = repository.due(10)
    job = NewJob("a" * 64, "job", {}, total_stages=1, rerun=True)
    with monkeypatch.context() as patched:
        dying(patched, place)
        with pytest.raises(Dies):
            repository.fire(due, due.next_at, due.now + timedelta(minutes=5), job, None)
    assert (
        ticks(world) == world.rows("SELECT 1 FROM app.jobs") == world.rows("SELECT 1 FROM app.outbox") == []
    )
    assert repository.due(10)[0].next_at == due.next_at
    assert world.engine.schedules.fire() == 1
    assert world.engine.schedules.fire() == 0
    assert runs(world) == [("job", 1)]
    # A host that had only frozen comes too late.
    assert repository.fire(due, due.next_at, due.now + timedelta(minutes=5), job, None) is None
    assert len(ticks(world)) == 1


def dying(patched: pytest.MonkeyPatch, statement: str) -> None:
    """Whoever has carried out this statement of a transaction dies."""
    from repositories.connection import Connection

    execute = Connection.execute

    def carry_out(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        done = execute(self, query, *arguments, **named)
        if f"app.{statement}(" in str(query) or (
            statement == "record_tick" and "INSERT INTO app.schedule_ticks" in str(query)
        ):
            raise Dies
        return done

    patched.setattr(Connection, "execute", carry_out)


def test_one_that_was_changed_since_it_was_read_is_not_fired_as_it_was(world: World) -> None:
    schedule(world)
    fall_due(world)
    repository = ScheduleRepository(world.databases[0])
    [due] = repository.due(10)
    job = NewJob("a" * 64, "job", {}, total_stages=1, rerun=True)
    world.engine.schedules.switch("nightly", enabled=False)
    assert repository.fire(due, due.next_at, due.now + timedelta(minutes=5), job, None) is None
    world.engine.schedules.delete("nightly")
    schedule(world)
    fall_due(world)
    assert repository.fire(due, due.next_at, due.now + timedelta(minutes=5), job, None) is None
    assert ticks(world) == []


def test_while_it_is_disabled_nothing_ticks_and_nothing_is_made_up_for(world: World) -> None:
    schedule(world)
    assert not world.engine.schedules.switch("nightly", enabled=False).enabled
    fall_due(world, "3 hours")
    assert world.engine.schedules.fire() == 0
    again = world.engine.schedules.switch("nightly", enabled=True)
    assert again.next_at > datetime.now(UTC) - timedelta(minutes=1)
    # Of one that is enabled already, what it missed is kept.
    fall_due(world, "3 hours")
    world.engine.schedules.switch("nightly", enabled=True)
    assert world.engine.schedules.fire() == 1


def test_what_a_release_made_invalid_is_told_and_keeps_no_other_from_ticking(world: World) -> None:
    for name in ("broken", "lost", "nightly", "unknown"):
        schedule(world, name)
        fall_due(world, name=name)
    world.rows("UPDATE app.schedules SET parameters = '{\"n\": \"x\"}' WHERE name = 'broken'", fetch=False)
    world.rows("UPDATE app.schedules SET job_type = 'gone' WHERE name = 'unknown'", fetch=False)
    world.rows("UPDATE app.schedules SET time_zone = 'Gone/Gone' WHERE name = 'lost'", fetch=False)
    assert world.engine.schedules.fire() == 3
    told = {one.name: one.last_tick for one in listed(world)}
    assert "parameters.n: Input should be a valid integer" in str(told["broken"])
    assert "no job type 'gone'" in str(told["unknown"])
    assert runs(world) == [("job", 1)]
    assert world.engine.schedules.fire() == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"cron": "0 2 30 2 *"}, "cron"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"parameters": {"n": "x"}}, "parameters.n"),
        ({"parameters": {"n": {"$from": "/tick/date"}}}, "parameters.n"),
        ({"parameters": {"m": {"$from": "/tick/date"}}}, "parameters.m"),
        ({"parameters": {"label": {"$from": "/result"}}}, "parameters.label"),
        ({"parameters": {"label": {"$from": "/tick/weather"}}}, "parameters.label"),
    ],
)
def test_a_bad_schedule_is_refused_by_field(world: World, given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        schedule(world, **given)
    assert [error.field for error in raised.value.errors] == [field]
    assert listed(world) == []


def test_a_name_is_taken_once_and_free_again_after_its_schedule(world: World) -> None:
    schedule(world)
    with pytest.raises(Conflict):
        schedule(world)
    with pytest.raises(UnknownJobType):
        schedule(world, "another", job_type="nothing")
    fall_due(world)
    world.engine.schedules.fire()
    world.engine.schedules.delete("nightly")
    assert ticks(world) == []
    assert len(runs(world)) == 1
    for call in (
        lambda: world.engine.schedules.delete("nightly"),
        lambda: world.engine.schedules.one("nightly"),
        lambda: world.engine.schedules.switch("nightly", enabled=True),
    ):
        with pytest.raises(NotFound):
            call()
    schedule(world)


def test_old_ticks_go_and_the_last_one_stays(world: World) -> None:
    schedule(world)
    world.rows(
        "INSERT INTO app.schedule_ticks (name, tick_at, fired_at, error)"
        " SELECT 'nightly', now() - i * interval '100 days', now() - i * interval '100 days', 'x'"
        " FROM generate_series(1, 3) AS i",
        fetch=False,
    )
    world.engine.retention.run()
    assert len(ticks(world)) == 1


def test_one_that_cannot_be_read_says_why_rests_and_ticks_when_it_can(world: World) -> None:
    for name in ("lost", "nightly"):
        schedule(world, name)
        fall_due(world, name=name)
    world.rows("UPDATE app.schedules SET time_zone = 'Gone/Gone' WHERE name = 'lost'", fetch=False)
    due = ScheduleRepository(world.databases[0])
    assert world.engine.schedules.fire() == 1
    errors = {one.name: one.error for one in listed(world)}
    assert errors["nightly"] is None
    assert errors["lost"] == "time_zone: is not the name of a time zone, such as Europe/Berlin"
    # It is at the front no more, and can be switched off.
    assert due.due(10) == []
    assert world.engine.schedules.switch("lost", enabled=False).enabled is False
    with pytest.raises(InvalidRequest, match="time_zone"):
        world.engine.schedules.switch("lost", enabled=True)
    # It can be read again, as after an upgrade of the time zones: the tick that it missed is made up for.
    world.rows(
        "UPDATE app.schedules SET time_zone = 'UTC', enabled = true, error = 'x',"
        " rests_until = now() - interval '1 s' WHERE name = 'lost'",
        fetch=False,
    )
    assert world.engine.schedules.fire() == 1
    assert [one.error for one in listed(world)] == [None, None]
    assert world.violations() == {}


def test_a_run_of_a_tick_is_told_of_and_followed(make_world: Callable[..., World]) -> None:
    world = make_world(callback_hosts="a.example.org", callback_secret=SecretStr("whsec_" + "QUFB" * 8))
    stage = StageDefinition("a", "work")
    world.register(ScriptedJob("job", [stage]), task_type("work", lambda p, c: {}))
    world.register(ScriptedJob("next", [stage]))
    then = {"job_type": "next", "parameters": {"label": {"$from": "/job_type"}}}
    made = schedule(world, callback_url="https://a.example.org/x", callback_events=["completed"], then=then)
    assert made.then is not None
    assert made.then["job_type"] == "next"
    fall_due(world)
    assert world.engine.schedules.fire() == 1
    [tick] = ticks(world)
    world.run(tick["job_id"])
    assert world.engine.follow_up() == 1
    assert world.engine.callbacks.deliver() == 1
    assert [one.event_type for one in world.receiver.received] == ["job.completed"]
    assert runs(world) == [("job", 1), ("next", 1)]
    # Where the address is allowed no more, the next tick says so, and submits nothing.
    world.rows("UPDATE app.schedules SET callback_url = 'https://b.example.org/x'", fetch=False)
    world.rows("DELETE FROM app.schedule_ticks", fetch=False)
    fall_due(world)
    world.engine.schedules.fire()
    [refused] = ticks(world)
    assert "callback_url: " in refused["error"]
    assert refused["job_id"] is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"callback_url": "https://b.example.org/"}, "callback_url"),
        ({"callback_events": ["failed"]}, "callback_events"),
        ({"then": {"job_type": "job", "parameters": {"n": "x"}}}, "then.parameters.n"),
        ({"then": {"job_type": "job", "parameters": {"n": {"$from": "/tick/day"}}}}, "then.parameters.n"),
    ],
)
def test_what_cannot_follow_a_tick_is_refused_with_the_schedule(
    world: World, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        schedule(world, **given)
    assert [error.field for error in refused.value.errors] == [field]
    assert listed(world) == []
