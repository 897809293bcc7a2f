"""Log lines as JSON: what they are about, and what they never tell."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from engine.logs import JsonFormatter, set_up, told
from engine.observing import about
from interfaces.settings import Settings
from interfaces.tracing import within

SECRET = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=c2VjcmV0LWtleQ==;"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as the host leaves it to the app."""
    logger = logging.getLogger()
    before, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


def line(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def record(message: object, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("engine.test", logging.WARNING, "x.py", 1, message, arguments, info)


def test_a_line_says_which_job_task_and_attempt_it_is_about() -> None:
    with about(job_id="a" * 64, correlation_id="c"), about(task_index=7, attempt=2), within(TRACE):
        found = line(record("task %d failed", 7))
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "WARNING",
        "logger": "engine.test",
        "message": "task 7 failed",
        "job_id": "a" * 64,
        "correlation_id": "c",
        "task_index": 7,
        "attempt": 2,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
    }


def test_outside_of_work_a_line_is_about_nothing() -> None:
    assert set(line(record("started"))) == {"time", "level", "logger", "message"}


@pytest.mark.parametrize("message", ["50 % of %s", "{}", "\ud800", "a\nb"])
def test_whatever_is_logged_is_one_line_of_json(message: str) -> None:
    assert line(record(message))["message"]
    assert line(record(message, "one", "two"))["message"]


def test_a_line_whose_arguments_lack_a_name_is_told_all_the_same() -> None:
    assert line(record("%(file)s is missing", {"name": "a"}))["message"] == "%(file)s is missing"


def test_what_libraries_warn_of_is_told_as_lines_are(root: logging.Logger) -> None:
    """Python writes it to standard error by itself, as text in two lines."""
    written = io.StringIO()
    root.handlers[:] = [logging.StreamHandler(written)]
    set_up(Settings(log_format="json"), lambda told: None)
    try:
        warnings.warn(f"deprecated, as is {SECRET}", DeprecationWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
    [found] = map(json.loads, written.getvalue().splitlines())
    assert (found["logger"], found["level"]) == ("py.warnings", "WARNING")
    assert "deprecated" in found["message"]
    assert "c2VjcmV0" not in found["message"]


def test_no_secret_is_told_neither_by_the_message_nor_by_the_exception() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        failed = record("cannot reach %s", SECRET, error=error)
    text, _ = told(failed)
    for told_text in (json.dumps(line(failed)), text):
        assert "c2VjcmV0" not in told_text
        assert "ValueError" in told_text
        assert "AccountKey=***" in told_text


def test_the_hosts_own_handlers_write_json_when_it_is_asked_for(root: logging.Logger) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root.handlers[:] = [handler]
    set_up(Settings(), lambda told: None)
    logging.getLogger("app").warning("as text")
    set_up(Settings(log_format="json"), lambda told: None)
    logging.getLogger("app").warning("as JSON")
    text, as_json = written.getvalue().splitlines()
    assert text == "as text"
    assert json.loads(as_json)["message"] == "as JSON"
    assert root.handlers == [handler]
    assert sys.stderr is not written
