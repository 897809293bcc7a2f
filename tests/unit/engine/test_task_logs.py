"""What an attempt logs is kept within bounds, in its own thread's context, and without secrets."""

from __future__ import annotations

import contextvars
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from engine.task_logs import LONGEST_MESSAGE, MOST_BYTES, TaskLog, TaskLogHandler
from interfaces.jobs import ClaimedTask

TASK = ClaimedTask(
    job_id="a" * 64,
    run=1,
    stage=1,
    task_index=7,
    attempt=3,
    fence=1,
    parameters="{}",
    task_type="work",
    max_attempts=4,
)
handler_logger = logging.getLogger("services.of_a_test")


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """The handler where the app has it."""
    root, handler = logging.getLogger(), TaskLogHandler()
    before = root.level
    # Of an app that an earlier test has made in this process.
    others = [one for one in root.handlers if isinstance(one, TaskLogHandler)]
    for other in others:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(handler)
    for other in others:
        root.addHandler(other)
    root.setLevel(before)


def lines(log: TaskLog) -> list[dict[str, Any]]:
    kept = log.kept(TASK)
    assert kept is not None
    found: list[dict[str, Any]] = json.loads(kept.lines)
    return found


def test_lines_of_handlers_are_kept_from_info_on_and_of_libraries_from_warning_on() -> None:
    with TaskLog(200) as log:
        handler_logger.debug("no")
        handler_logger.info("read %d bands", 3)
        logging.getLogger("azure.core").info("no")
        logging.getLogger("some_library").warning("it is deprecated")
        logging.getLogger("engine.execution").error("no: an outcome")
    found = lines(log)
    assert [(one["level"], one["logger"], one["message"]) for one in found] == [
        ("INFO", "services.of_a_test", "read 3 bands"),
        ("WARNING", "some_library", "it is deprecated"),
    ]
    assert all(one["at"].endswith("+00:00") for one in found)
    kept = log.kept(TASK)
    assert kept is not None
    assert (kept.attempt, kept.severity, kept.dropped) == (3, logging.WARNING, 0)


def test_a_level_beyond_those_of_the_database_is_the_highest_there() -> None:
    with TaskLog(200) as log:
        handler_logger.log(40_000, "loud")
    kept = log.kept(TASK)
    assert kept is not None
    assert (kept.severity, lines(log)[0]["message"]) == (2**15 - 1, "loud")


def test_an_attempt_that_logs_nothing_keeps_nothing() -> None:
    with TaskLog(200) as log:
        pass
    handler_logger.info("behind it")
    assert log.kept(TASK) is None


def test_attempts_in_other_contexts_do_not_mix() -> None:
    def attempt(name: str) -> TaskLog:
        with TaskLog(200) as log:
            handler_logger.info(name)
        return log

    with TaskLog(200) as outer:
        inner = contextvars.copy_context().run(attempt, "inner")
        handler_logger.info("outer")
    assert [one["message"] for one in lines(inner)] == ["inner"]
    assert [one["message"] for one in lines(outer)] == ["outer"]


def test_the_newest_lines_are_kept_and_it_is_said_how_many_were_not() -> None:
    with TaskLog(5) as log:
        for n in range(12):
            handler_logger.info("line %d", n)
    kept = log.kept(TASK)
    assert kept is not None
    assert kept.dropped == 7
    assert [one["message"] for one in lines(log)] == [f"line {n}" for n in range(7, 12)]
    with TaskLog(0) as none:
        handler_logger.info("x")
    assert none.kept(TASK) is None


def test_long_lines_are_cut_and_many_of_them_fit_the_bound() -> None:
    with TaskLog(10_000) as log:
        for _ in range(500):
            handler_logger.info("x" * 100_000)
    found = lines(log)
    assert all(len(one["message"]) == LONGEST_MESSAGE for one in found)
    assert len(found) == MOST_BYTES // len(found[0]["message"].encode())


def test_secrets_and_what_jsonb_cannot_hold_are_not_kept() -> None:
    with TaskLog(200) as log:
        handler_logger.info("AccountKey=%s;", "c2VjcmV0LWtleQ==")
        handler_logger.info("file \udcff and \0")
    text = json.dumps(lines(log))
    assert "c2VjcmV0" not in text
    assert "\\u0000" not in text
    assert "\\udcff" not in text


def test_an_error_is_kept_with_the_end_of_its_trace() -> None:
    with TaskLog(200) as log:
        try:
            raise KeyError("password=hunter2")
        except KeyError as error:
            handler_logger.warning("odd", exc_info=True)
            log.raised(error, "services.work")
    warned, raised = lines(log)
    assert warned["message"].startswith("odd\nTraceback")
    assert raised["level"] == "ERROR"
    assert "test_task_logs.py" in raised["message"]
    assert "KeyError: 'password=***" in raised["message"]
    assert "hunter2" not in json.dumps([warned, raised])
