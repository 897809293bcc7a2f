"""The command line, over the API of a real engine and database."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

import cli.api
import cli.callbacks
import cli.schedules
from cli.commands import Session, main
from engine.task_logs import TaskLogHandler
from interfaces.errors import PermanentTaskError
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

Run = Callable[..., Result]
BROKEN = {"on": True}


class Transport(httpx.BaseTransport):
    """Hands requests to the API; after each, the engine works off what waits."""

    def __init__(self, api: Client, world: World) -> None:
        self.api, self.world = api, world
        self.idle = False
        self.failures: list[httpx.Response | Exception] = []
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        url, headers = request.url.raw_path.decode(), dict(request.headers)
        answer = self.api.request(request.method, url, request.read(), headers)
        if not self.idle:
            self.world.pump()
        return httpx.Response(
            answer.status, headers={**answer.headers, "content-type": answer.mimetype}, content=answer.body
        )


@pytest.fixture
def kept_lines() -> Iterator[logging.Logger]:
    """A logger whose lines are kept with the tasks that they are about."""
    root, handler, logger = logging.getLogger(), TaskLogHandler(), logging.getLogger("services.of_a_test")
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    root.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def transport(api: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> Transport:
    def work(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        if BROKEN["on"] and parameters["i"] == 1:
            raise PermanentTaskError("no such file")
        return {"i": parameters["i"]}

    monkeypatch.setitem(BROKEN, "on", True)
    monkeypatch.setattr(cli.api, "FIRST_PAUSE", 0.001)
    lenient = StageDefinition("a", "work", FailurePolicy.CONTINUE)
    world.register(ScriptedJob("lenient", [lenient]), task_type("work", work))
    world.register(ScriptedJob("strict", [StageDefinition("a", "work")]))
    return Transport(api, world)


@pytest.fixture
def run(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(Session, "transport", transport)
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, **options)


def submitted(run: Run, *arguments: str) -> str:
    done = run("submit", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_a_job_is_submitted_once_and_watched_to_its_end(run: Run, transport: Transport) -> None:
    done = run("submit", "hello_world", "-p", "n=3", "-p", "name=you", "--watch")
    assert done.exit_code == 0, done.output
    job = done.stdout.strip()
    assert len(job) == 64
    assert done.stderr.endswith("completed\n")
    assert transport.world.job(job)["parameters"]["name"] == "you"
    again = run("submit", "hello_world", "-p", "n=3", "-p", "name=you")
    assert (again.exit_code, again.stdout.strip()) == (0, job)
    assert "it was submitted before, and is completed" in again.stderr
    assert run("submit", "hello_world", "-p", "n=3", "-p", "name=you", "--rerun", "-w").exit_code == 0
    assert transport.world.job(job)["run"] == 2


def test_parameters_come_from_a_file_and_options_go_before_it(run: Run, transport: Transport) -> None:
    job = run(
        "submit", "hello_world", "-f", "-", "-p", "n=2", input='{"n": 9, "name": "file"}'
    ).stdout.strip()
    kept = transport.world.job(job)["parameters"]
    assert (kept["n"], kept["name"]) == (2, "file")


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["-f", "-"], "[1]", "--file: must be a JSON object"),
        (["-f", "-"], "{", "--file: is not JSON"),
        (["-p", "n"], "", "--param: 'n' is not NAME=VALUE"),
    ],
)
def test_parameters_that_cannot_be_read_are_wrong_usage(
    run: Run, arguments: list[str], given: str, said: str
) -> None:
    done = run("submit", "hello_world", *arguments, input=given)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("job_type", "n", "code", "status"),
    [("lenient", 3, 3, "completed_with_errors"), ("strict", 3, 1, "failed"), ("lenient", 1, 0, "completed")],
)
def test_the_exit_code_says_how_the_job_ended(
    run: Run, job_type: str, n: int, code: int, status: str
) -> None:
    done = run("submit", job_type, "-p", f"n={n}", "-w")
    assert done.exit_code == code, done.output
    assert f"\n{status}" in f"\n{done.stderr}"
    shown = run("status", done.stdout.strip(), "--watch")
    assert shown.exit_code == code
    assert json.loads(shown.stdout)["status"] == status
    assert run("status", done.stdout.strip()).exit_code == 0


def test_a_cancelled_job_and_one_that_does_not_end_have_codes_of_their_own(
    run: Run, transport: Transport
) -> None:
    transport.idle = True
    job = submitted(run, "hello_world", "-p", "n=2")
    late = run("status", job, "--timeout", "0.1")
    assert late.exit_code == 7
    assert f"job {job} is still queued after 0.1 s" in late.stderr
    assert json.loads(run("cancel", job).stdout)["status"] == "cancelling"
    transport.idle = False
    transport.world.engine.reconcile()
    assert run("status", job, "-w").exit_code == 4


def test_failed_tasks_are_run_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = run("submit", "lenient", "-p", "n=3", "-w").stdout.strip()
    monkeypatch.setitem(BROKEN, "on", False)
    assert run("retry", job, "-w").exit_code == 0
    refused = run("retry", job)
    assert refused.exit_code == 5
    assert refused.stderr.startswith("Conflict: ")
    assert run("rerun", job, "-w").exit_code == 0


def test_results_become_a_file_whole(run: Run, tmp_path: Path, transport: Transport) -> None:
    job = run("submit", "lenient", "-p", "n=3", "-w").stdout.strip()
    lines = [json.loads(line) for line in run("results", job, "--status", "completed").stdout.splitlines()]
    assert [line["result"] for line in lines] == [{"i": 0}, {"i": 2}]
    target = tmp_path / "results.csv"
    assert run("results", job, "-o", str(target), "--format", "csv").exit_code == 0
    with target.open() as file:
        errors = [row["error"] for row in csv.DictReader(file)]
    assert errors[::2] == ["", ""]
    assert errors[1].endswith("no such file")
    before = target.read_bytes()
    transport.failures = [httpx.Response(400, json={"title": "No", "detail": "not now"})]
    refused = run("results", job, "-o", str(target))
    assert (refused.exit_code, refused.stderr) == (5, "No: not now\n")
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_parts_of_a_download_are_put_together(run: Run, transport: Transport) -> None:
    following = {"link": '</api/jobs/1/results?format=csv&cursor=x>; rel="next"'}
    transport.failures = [
        httpx.Response(200, headers=following, content=b"a,b\n1,2\n"),
        httpx.Response(200, content=b"a,b\n3,4\n"),
    ]
    assert run("results", "1", "--format", "csv").stdout == "a,b\n1,2\n3,4\n"
    assert transport.asked[-1].url.params["cursor"] == "x"


def test_what_a_job_would_do_and_what_it_took_are_printed(run: Run, world: World) -> None:
    foreseen = json.loads(run("submit", "lenient", "-p", "n=3", "--dry-run").stdout)
    assert (foreseen["would_create"], foreseen["stages"][0]["tasks"]["mean"]) == (True, 3)
    assert world.rows("SELECT job_id FROM app.jobs") == []
    assert run("submit", "lenient", "--dry-run", "--watch").exit_code == 2
    job = submitted(run, "lenient", "-p", "n=3")
    assert json.loads(run("cost", job, "--run", "1").stdout)["total"]["attempts"] == 3


def test_an_explanation_is_for_people(run: Run, transport: Transport) -> None:
    transport.idle = True
    job = submitted(run, "hello_world", "-p", "n=2")
    shown = run("explain", job).stdout
    assert shown.startswith("Run 1 is queued at stage 1 of 2: a message that wakes its planner")
    assert f"* stop it: POST /api/jobs/{job}/cancel" in shown
    assert json.loads(run("explain", job, "--json").stdout)["moves"] is True


def test_job_types_are_listed_with_their_schemas(run: Run) -> None:
    assert "\nlist_container " in run("types").stdout
    assert "n" in json.loads(run("types", "hello_world").stdout)["properties"]
    unknown = run("types", "nothing")
    assert (unknown.exit_code, "no job type 'nothing'; there are" in unknown.stderr) == (5, True)


def test_what_the_api_refuses_is_said_by_field(run: Run) -> None:
    refused = run("submit", "hello_world", "-p", "n=-1")
    assert refused.exit_code == 5
    assert refused.stderr.startswith("Invalid parameters: n: ")
    assert run("status", "0" * 64).exit_code == 5


def test_an_app_that_does_not_answer_is_asked_again_for_a_while(
    run: Run, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport.failures = [httpx.ConnectError("refused"), httpx.Response(503, json={"title": "Busy"})]
    submitted(run, "hello_world", "-p", "n=2")
    assert len(transport.asked) == 3
    monkeypatch.setattr(cli.api, "PATIENCE_SECONDS", 0.0)
    transport.failures = [httpx.ConnectError("refused")]
    gone = run("types")
    assert (gone.exit_code, gone.stderr) == (6, "the app does not answer: ConnectError: refused\n")


def test_the_key_is_sent_and_never_shown(run: Run, transport: Transport) -> None:
    transport.failures = [httpx.Response(401)]
    done = run("--key", "s3cret", "types")
    assert (done.exit_code, "s3cret" in done.output) == (5, False)
    assert "ORCHESTRATOR_KEY" in done.stderr
    assert transport.asked[-1].headers["x-functions-key"] == "s3cret"
    submitted_with = run("types", env={"ORCHESTRATOR_KEY": "other"})
    assert submitted_with.exit_code == 0
    assert transport.asked[-1].headers["x-functions-key"] == "other"


def test_what_follows_a_job_is_asked_for_with_it(run: Run, world: World, tmp_path: Path) -> None:
    then = {"job_type": "hello_world", "parameters": {"n": 1, "name": {"$from": "/status"}}}
    (tmp_path / "then.json").write_text(json.dumps(then))
    submitted(run, "hello_world", "-p", "n=2", "--then", json.dumps(then))
    submitted(run, "hello_world", "-p", "n=2", "--then", f"@{tmp_path / 'then.json'}")
    world.engine.follow_up()
    assert len(world.rows("SELECT 1 FROM app.jobs")) == 2
    for wrong in ("{", "[]", f"@{tmp_path / 'nothing'}"):
        assert run("submit", "hello_world", "--then", wrong).exit_code == 2
    refused = run("submit", "hello_world", "-p", "n=2", "--callback-url", "https://example.org/")
    assert refused.exit_code == 5
    assert "callback_url: callbacks are off" in refused.stderr


def test_schedules_are_added_listed_switched_and_removed(run: Run, world: World) -> None:
    zone = ("--time-zone", "Europe/Berlin")
    added = run("schedule", "add", "nightly", "0 2 * * *", "hello_world", "-p", "n=2", *zone)
    assert json.loads(added.stdout)["parameters"] == {"n": 2}
    assert "never ticked" in run("schedule", "list").stdout
    world.rows("UPDATE app.schedules SET next_at = now()", fetch=False)
    world.engine.follow_up()
    assert "Europe/Berlin hello_world: next at 2" in run("schedule", "list").stdout
    assert "; run 1 of " in run("schedule", "list").stdout
    assert json.loads(run("schedule", "show", "nightly").stdout)["ticks"][0]["run"] == 1
    assert json.loads(run("schedule", "disable", "nightly").stdout)["enabled"] is False
    assert ": disabled; run 1" in run("schedule", "list").stdout
    assert json.loads(run("schedule", "enable", "nightly").stdout)["enabled"] is True
    assert run("schedule", "remove", "nightly").exit_code == 0
    gone = run("schedule", "remove", "nightly")
    assert (gone.exit_code, gone.stderr) == (5, "Not found: there is no schedule nightly\n")
    refused = run("schedule", "add", "nightly", "every night", "hello_world")
    assert "cron: must have five fields" in refused.stderr


def test_what_tasks_logged_is_printed_a_line_each(
    run: Run, transport: Transport, kept_lines: logging.Logger
) -> None:
    def work(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        kept_lines.info("task %d", parameters["i"])
        return {}

    talkative = task_type("talk", work)
    transport.world.register(ScriptedJob("talkative", [StageDefinition("a", "talk")]), talkative)
    job = submitted(run, "talkative", "-p", "n=3")
    lines = run("logs", job).stdout.splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        f"1.{n}#1 INFO services.of_a_test: task {n}" for n in range(3)
    ]
    assert run("logs", job, "--stage", "1", "--task", "2").stdout.splitlines() == lines[2:]
    assert run("logs", job, "--level", "error").stdout == ""


def test_dead_letters_are_shown_and_sent_again(run: Run, transport: Transport) -> None:
    transport.world.rows(
        "INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, url, last_error,"
        " dead_at) SELECT 'e', 'job.failed', repeat('a', 64), 1, '{}', now(),"
        " 'https://' || host || '/x', 'gone', now()"
        " FROM unnest(ARRAY['a.example', 'b.example', 'b.example']) AS h (host) RETURNING 1"
    )
    lines = run("callbacks", "list", "--state", "dead").stdout.splitlines()
    assert [line.partition(" to ")[2] for line in lines] == [
        f"https://{host}.example/x: gone" for host in ("b", "b", "a")
    ]
    assert run("callbacks", "resend", "--host", "b.example").stdout == "2\n"
    assert run("callbacks", "resend").stdout == "1\n"
    assert run("callbacks", "list", "--state", "dead").stdout == ""
    assert run("callbacks", "resend", "--job", "x").exit_code == 5
