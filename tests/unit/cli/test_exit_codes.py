"""What a script is told by the exit code: 1 is a job that failed, and nothing else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from cli.commands import Session, main
from tests.fix_stack import CHECKOUT

JOB = "0" * 64
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], list[httpx.Request]]:
    def answered_by(answer: Answer) -> list[httpx.Request]:
        asked: list[httpx.Request] = []

        def answering(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return answer(request)

        monkeypatch.setattr(Session, "transport", httpx.MockTransport(answering))
        return asked

    return answered_by


def run(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(main, words, **options)


def page(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b'{"task_index": 0}\n')


def test_results_that_cannot_be_written_are_no_job_that_failed(
    app: Callable[[Answer], list[httpx.Request]], tmp_path: Path
) -> None:
    app(page)
    done = run("results", JOB, "-o", str(tmp_path / "missing" / "results.ndjson"))
    assert done.exit_code == 8
    assert "cannot be written" in done.stderr
    assert "No such file or directory" in done.stderr


def test_a_file_of_results_is_read_by_whom_the_shell_lets(
    app: Callable[[Answer], list[httpx.Request]], tmp_path: Path
) -> None:
    app(page)
    before = os.umask(0o022)
    try:
        assert run("results", JOB, "-o", str(tmp_path / "results.ndjson")).exit_code == 0
    finally:
        os.umask(before)
    [written] = tmp_path.iterdir()
    assert stat.S_IMODE(written.stat().st_mode) == 0o644


def test_an_answer_of_something_else_than_the_app_is_refused(
    app: Callable[[Answer], list[httpx.Request]],
) -> None:
    app(lambda _: httpx.Response(200, html="<h1>Welcome to nginx!</h1>"))
    done = run("status", JOB)
    assert (done.exit_code, done.output) == (
        5,
        "GET /api/jobs/status/0000000000000000000000000000000000000000000000000000000000000000:"
        " 200, but not with JSON: is --url the app's?\n",
    )


def test_who_no_longer_waits_is_told_so(app: Callable[[Answer], list[httpx.Request]]) -> None:
    def interrupted(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    app(interrupted)
    done = run("status", JOB, "--watch")
    assert (done.exit_code, done.stderr) == (130, "interrupted; a job that was submitted goes on\n")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_json_of_the_standard_is_text(
    app: Callable[[Answer], list[httpx.Request]], value: str
) -> None:
    asked = app(lambda _: httpx.Response(202, json={"job_id": JOB, "created": True}))
    done = run("submit", "hello_world", "-p", f"name={value}")
    assert done.exit_code == 0, done.output
    assert asked[0].content == f'{{"name":"{value}"}}'.encode()


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["-f", "-"], b'{"n": NaN}'),
        (["-f", "-"], b'{"n": 1e999}'),
        (["--then", '{"job_type": NaN}'], b""),
        (["-p", "name=\udcff"], b""),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(
    app: Callable[[Answer], list[httpx.Request]], words: list[str], given: bytes
) -> None:
    asked = app(page)
    assert run("submit", "hello_world", *words, input=given).exit_code == 2
    assert asked == []


def test_a_reader_that_has_seen_enough_ends_it_as_it_ends_other_tools() -> None:
    """As `results … | head` does, in a shell that looks at every command of a pipe."""
    program = (
        "import httpx; from cli.commands import Session, main;"
        "Session.transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b'{}\\n' * 100_000));"
        f"main(['results', '{JOB}'])"
    )
    # Without buffers of its own, Python takes what a reader did not read for written.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CHECKOUT,
        env=environment,
    )
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(30) == 141
    process.stderr.close()
