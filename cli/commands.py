"""The commands. What a program reads goes to standard output, all else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import click
import httpx
from rich.console import Console

from cli.api import Api, Document, Refused, Unreachable
from cli.reading import json_object, parameters_of
from cli.watching import StillRunning, watch

EXIT_CODES = {"completed": 0, "failed": 1, "completed_with_errors": 3, "cancelled": 4}
REFUSED, UNREACHABLE, STILL_RUNNING, UNWRITTEN = 5, 6, 7, 8
INTERRUPTED, PIPE_CLOSED = 130, 141
"""As shells tell of tools that SIGINT and SIGPIPE ended. Libraries end with 1, which is a job that failed."""
CODES = """
Exit codes: 0 done, or the job completed; 1 the job failed; 2 wrong usage; 3 it completed with errors;
4 it was cancelled; 5 the API refused; 6 it cannot be reached; 7 the job has not ended within --timeout;
8 the output cannot be written; 130 interrupted; 141 the reader of the output went away.
"""

errors = Console(stderr=True)


class Session:
    """What all commands share."""

    transport: httpx.BaseTransport | None = None
    """Tests put their own here."""

    def __init__(self, url: str, key: str, token: str = "") -> None:
        self.api = Api(url, key, self.transport, token=token)


def told(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what the API refuses into a line and an exit code."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except Refused as error:
            _end(str(error), REFUSED)
        except Unreachable as error:
            _end(f"the app does not answer: {error}", UNREACHABLE)
        except StillRunning as error:
            _end(str(error), STILL_RUNNING)
        except KeyboardInterrupt:
            _end("interrupted; a job that was submitted goes on", INTERRUPTED)
        except BrokenPipeError:
            # What is still buffered is flushed at the end of the process, and must find somebody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except OSError as error:
            _end(f"the output cannot be written: {error}", UNWRITTEN)

    return wrapped


def _end(text: str, code: int) -> NoReturn:
    say(text, err=True)
    sys.exit(code)


def say(text: str, *, err: bool = False) -> None:
    """Print words that may quote names of files: what a terminal would obey is shown as an escape."""
    shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    click.echo("".join(shown), err=err)


@click.group(epilog=CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url", envvar="ORCHESTRATOR_URL", default="http://127.0.0.1:7071", show_default=True, help="Of the app."
)
@click.option(
    "--key", envvar="ORCHESTRATOR_KEY", default="", help="Function key; better in ORCHESTRATOR_KEY."
)
@click.option(
    "--token",
    envvar="ORCHESTRATOR_TOKEN",
    default="",
    help="Access token of Entra ID, in place of a key; better in ORCHESTRATOR_TOKEN.",
)
@click.pass_context
@told
def main(context: click.Context, url: str, key: str, token: str) -> None:
    """Submit jobs to the orchestrator, and see what becomes of them."""
    context.obj = Session(url, key, token)
    context.call_on_close(context.obj.api.close)


watching = [
    click.option("--watch", "-w", "wait", is_flag=True, help="Wait until it has ended; show progress."),
    click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at most."),
]


def _watching(command: Callable[..., None]) -> Callable[..., None]:
    for option in watching:
        command = option(command)
    return command


following = [
    click.option("--callback-url", metavar="URL", help="Who is told when the run, or a stage of it, ends."),
    click.option(
        "--callback-events", metavar="KINDS", help="Of completed, failed, cancelled, stage; by commas."
    ),
    click.option("--then", "then", metavar="JSON", help="What follows the run: a JSON object, or @FILE."),
]


def with_follow_ups(command: Callable[..., None]) -> Callable[..., None]:
    """Options for who is told, and what follows."""
    for option in reversed(following):
        command = option(command)
    return command


def follow_ups(callback_url: str | None, callback_events: str | None, then: str | None) -> Document:
    """What those options ask for, as members of a body."""
    asked: Document = {}
    if callback_url is not None:
        asked["callback_url"] = callback_url
    if callback_events is not None:
        asked["callback_events"] = callback_events.split(",")
    if then is not None:
        asked["then"] = json_object(then, "--then")
    return asked


@main.command()
@click.argument("job_type")
@click.option("--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="JSON, or else text.")
@click.option("--file", "-f", "file", type=click.File("rb"), help="Parameters as a JSON object; - for stdin.")
@click.option("--rerun", is_flag=True, help="Run it again although it has completed.")
@click.option("--dry-run", is_flag=True, help="Print what it would do and is likely to take; do nothing.")
@with_follow_ups
@_watching
@click.pass_obj
@told
def submit(
    session: Session,
    job_type: str,
    given: tuple[str, ...],
    file: BinaryIO | None,
    rerun: bool,
    dry_run: bool,
    callback_url: str | None,
    callback_events: str | None,
    then: str | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Post a job and print its id. The same parameters again are the same job."""
    query = {
        "rerun": "true" if rerun else None,
        "callback_url": callback_url,
        "callback_events": callback_events,
    }
    parameters = parameters_of(given, file)
    if dry_run:
        if wait or timeout is not None:
            raise click.UsageError("--dry-run starts nothing that --watch or --timeout could wait for")
        query["dry_run"] = "true"
    repeat = dry_run or not rerun
    if then is None:
        posted = session.api.post("jobs", "submit", job_type, body=parameters, repeat=repeat, **query)
    else:
        follower = json_object(then, "--then")
        body = {"job_type": job_type, "parameters": parameters, "then": follower}
        posted = session.api.post("jobs", "submit", body=body, repeat=repeat, **query)
    if dry_run:
        show(posted)
        return
    click.echo(posted["job_id"])
    if not posted["created"]:
        click.echo(f"it was submitted before, and is {posted['status']}", err=True)
    if wait or timeout is not None:
        _wait(session, posted["job_id"], timeout)


@main.command()
@click.argument("job_id")
@_watching
@click.pass_obj
@told
def status(session: Session, job_id: str, wait: bool, timeout: float | None) -> None:
    """Print how far a job is, as JSON."""
    if wait or timeout is not None:
        found = watch(session.api, job_id, timeout, errors)
        show(found)
        sys.exit(EXIT_CODES[found["status"]])
    show(session.api.get("jobs", "status", job_id))


@main.command()
@click.argument("job_id")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; else stdout.")
@click.option("--format", "kind", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@click.option("--stage", type=int, help="By default the last one that has tasks.")
@click.option("--status", "states", help="Of the tasks: completed, failed, …, separated by commas.")
@click.pass_obj
@told
def results(
    session: Session, job_id: str, output: Path | None, kind: str, stage: int | None, states: str | None
) -> None:
    """Write the results of a job's tasks; a file is there whole or not at all."""
    query = {"format": kind, "stage": None if stage is None else str(stage), "status": states}
    pages = session.api.pages("jobs", job_id, "results", **query)
    if output is None:
        for number, page in enumerate(pages):
            click.echo(_without_header(page, kind, number), nl=False)
        return
    # Not by `tempfile`, whose files nobody else may read.
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    with part.open("xb") as file:
        try:
            for number, page in enumerate(pages):
                file.write(_without_header(page, kind, number))
            file.close()
            os.replace(part, output)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@main.command()
@click.argument("job_id")
@click.pass_obj
@told
def cancel(session: Session, job_id: str) -> None:
    """Stop a job."""
    show(session.api.post("jobs", job_id, "cancel"))


@main.command()
@click.argument("job_id")
@_watching
@click.pass_obj
@told
def retry(session: Session, job_id: str, wait: bool, timeout: float | None) -> None:
    """Run the failed tasks of an ended job again."""
    _again(session, job_id, "retry", wait, timeout)


@main.command()
@click.argument("job_id")
@with_follow_ups
@_watching
@click.pass_obj
@told
def rerun(
    session: Session,
    job_id: str,
    callback_url: str | None,
    callback_events: str | None,
    then: str | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Run a whole job again."""
    _again(session, job_id, "rerun", wait, timeout, follow_ups(callback_url, callback_events, then))


@main.command()
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="The whole document.")
@click.pass_obj
@told
def explain(session: Session, job_id: str, as_json: bool) -> None:
    """Say why a job is where it is, and what can be done about it."""
    found = session.api.get("jobs", job_id, "explain")
    if as_json:
        show(found)
        return
    say(found["summary"])
    for reason in found["reasons"]:
        say(f"* {reason['text']}")
    if found["repairs"]:
        click.echo("What can be done:")
    for repair in found["repairs"]:
        click.echo(f"* {repair['text']}: {repair['method']} {repair['href']}")


@main.command()
@click.argument("job_id")
@click.option("--run", type=int, help="By default the current one.")
@click.pass_obj
@told
def cost(session: Session, job_id: str, run: int | None) -> None:
    """Print what a job took, by stage: time, memory over time, storage operations, bytes; as JSON."""
    show(session.api.get("jobs", job_id, "cost", run=None if run is None else str(run)))


@main.command()
@click.argument("job_id")
@click.option("--run", type=int, help="By default the current one.")
@click.option("--stage", type=int, help="By default all.")
@click.option("--task", type=int, help="The index of one task; with --stage, of that stage.")
@click.option("--level", type=click.Choice(["info", "warning", "error"]), help="The worst of an attempt.")
@click.pass_obj
@told
def logs(
    session: Session, job_id: str, run: int | None, stage: int | None, task: int | None, level: str | None
) -> None:
    """Print what the attempts of a job's tasks logged: time, stage.task#attempt, level, line."""
    given = {"run": run, "stage": stage, "task": task, "level": level}
    query = {name: None if value is None else str(value) for name, value in given.items()}
    for body in session.api.pages("jobs", job_id, "logs", **query):
        for one in json.loads(body)["logs"]:
            place = f"{one['stage']}.{one['task_index']}#{one['attempt']}"
            if one["dropped"]:
                click.echo(f"{place}: {one['dropped']} lines before these were not kept", err=True)
            for line in one["lines"]:
                say(f"{line['at']} {place} {line['level']} {line['logger']}: {line['message']}")


@main.command()
@click.argument("job_type", required=False)
@click.pass_obj
@told
def types(session: Session, job_type: str | None) -> None:
    """List the job types; of one, print the JSON Schema of its parameters."""
    found = {one["job_type"]: one for one in session.api.get("jobs", "types")["job_types"]}
    if job_type is None:
        for name, one in found.items():
            click.echo(f"{name:24} {one['description']}")
    elif job_type in found:
        show(found[job_type]["parameters_schema"])
    else:
        raise Refused(f"no job type {job_type!r}; there are {', '.join(found)}")


def _again(
    session: Session,
    job_id: str,
    how: str,
    wait: bool,
    timeout: float | None,
    body: Document | None = None,
) -> None:
    changed = session.api.post("jobs", job_id, how, body=body or None, repeat=False)
    if wait or timeout is not None:
        _wait(session, job_id, timeout)
    else:
        show(changed)


def _wait(session: Session, job_id: str, timeout: float | None) -> None:
    found = watch(session.api, job_id, timeout, errors)
    said = f": {found['error']}" if found["error"] else ""
    say(f"{found['status']}{said}", err=True)
    sys.exit(EXIT_CODES[found["status"]])


def _without_header(page: bytes, kind: str, number: int) -> bytes:
    """Each part of a CSV has the same header line."""
    return page.partition(b"\n")[2] if kind == "csv" and number else page


def show(document: Document) -> None:
    """Print a document for a program, or a person."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))
