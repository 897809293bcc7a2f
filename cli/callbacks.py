"""The commands about callbacks: who was told, and what was given up."""

from __future__ import annotations

import json

import click

from cli.api import Document
from cli.commands import Session, main, say, told


@main.group()
def callbacks() -> None:
    """See what became of callbacks, and send again what was given up."""


@callbacks.command("list")
@click.option("--state", type=click.Choice(["pending", "delivered", "dead"]), help="By default all.")
@click.option("--job", "job_id", help="Of one job.")
@click.pass_obj
@told
def list_all(session: Session, state: str | None, job_id: str | None) -> None:
    """Print callbacks, the newest first: number, state, event, job, address, and the last error."""
    for page in session.api.pages("callbacks", state=state, job_id=job_id):
        for one in json.loads(page)["callbacks"]:
            error = f": {one['last_error']}" if one["last_error"] and one["state"] != "delivered" else ""
            place = f"run {one['run']} of {one['job_id']}"
            say(f"{one['callback_id']} {one['state']} {one['event_type']} {place} to {one['url']}{error}")


@callbacks.command("resend")
@click.option("--job", "job_id", help="Those of one job.")
@click.option("--subscription", "subscription_id", help="Those of one subscription.")
@click.option("--host", help="Those to one host, with its port where the address has one.")
@click.pass_obj
@told
def resend(session: Session, job_id: str | None, subscription_id: str | None, host: str | None) -> None:
    """Send again what was given up, all of it unless options say which; print how many there were."""
    given = {"job_id": job_id, "subscription_id": subscription_id, "host": host}
    body: Document = {name: value for name, value in given.items() if value is not None}
    resent, more = 0, True
    while more:
        answer = session.api.post("callbacks", "resend", body=body)
        resent, more = resent + answer["resent"], answer["more"]
    click.echo(str(resent))
