"""The commands about jobs that the clock submits."""

from __future__ import annotations

import json
from typing import BinaryIO

import click

from cli.commands import Session, follow_ups, main, say, show, told, with_follow_ups
from cli.reading import parameters_of


@main.group()
def schedule() -> None:
    """Submit jobs by the clock."""


@schedule.command("add")
@click.argument("name")
@click.argument("cron")
@click.argument("job_type")
@click.option("--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="JSON, or else text.")
@click.option("--file", "-f", "file", type=click.File("rb"), help="Parameters as a JSON object; - for stdin.")
@click.option("--time-zone", default="UTC", show_default=True, help="Such as Europe/Berlin.")
@with_follow_ups
@click.pass_obj
@told
def add(
    session: Session,
    name: str,
    cron: str,
    job_type: str,
    given: tuple[str, ...],
    file: BinaryIO | None,
    time_zone: str,
    callback_url: str | None,
    callback_events: str | None,
    then: str | None,
) -> None:
    """Let CRON, five fields in one argument, submit a job."""
    body = {"name": name, "cron": cron, "job_type": job_type, "time_zone": time_zone}
    asked = follow_ups(callback_url, callback_events, then)
    made = session.api.post(
        "schedules", body={**body, **asked, "parameters": parameters_of(given, file)}, repeat=False
    )
    show(made)


@schedule.command("list")
@click.pass_obj
@told
def list_all(session: Session) -> None:
    """Print every schedule, when it ticks next, and what the last tick came to."""
    for one in (one for page in session.api.pages("schedules") for one in json.loads(page)["schedules"]):
        tick = one["last_tick"] or {}
        last = tick.get("error") or (f"run {tick['run']} of {tick['job_id']}" if tick else "never ticked")
        state = f"next at {one['next_at']}" if one["enabled"] else "disabled"
        state = f"cannot tick: {one['error']}" if one["error"] else state
        say(f"{one['name']:24} {one['cron']:16} {one['time_zone']} {one['job_type']}: {state}; {last}")


@schedule.command("show")
@click.argument("name")
@click.pass_obj
@told
def show_one(session: Session, name: str) -> None:
    """Print a schedule with its last ticks, as JSON."""
    show(session.api.get("schedules", name))


@schedule.command("enable")
@click.argument("name")
@click.pass_obj
@told
def enable(session: Session, name: str) -> None:
    """Let it tick, from the next time on."""
    show(session.api.post("schedules", name, "enable"))


@schedule.command("disable")
@click.argument("name")
@click.pass_obj
@told
def disable(session: Session, name: str) -> None:
    """Let it rest; what it would have submitted meanwhile is not made up for."""
    show(session.api.post("schedules", name, "disable"))


@schedule.command("remove")
@click.argument("name")
@click.pass_obj
@told
def remove(session: Session, name: str) -> None:
    """Forget it; the jobs that it submitted stay."""
    session.api.delete("schedules", name)
