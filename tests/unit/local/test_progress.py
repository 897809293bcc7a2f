"""What the person at the terminal sees."""

from __future__ import annotations

import io
import re
import time

import pytest

from local.stack.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_log_a_step_is_one_line() -> None:
    stream = io.StringIO()
    with Progress(stream).step("Starting"):
        pass
    assert re.fullmatch(r"Starting: done in \d+\.\d s\n", stream.getvalue())


def test_in_a_log_a_long_step_says_now_and_then_that_it_goes_on() -> None:
    stream = io.StringIO()
    progress = Progress(stream, line_every=0.02)
    with progress.step("Uploading"):
        progress.detail("1 of 3 files")
        time.sleep(0.2)
    assert "Uploading … 0 s, 1 of 3 files\n" in stream.getvalue()


def test_on_a_terminal_the_line_is_written_over() -> None:
    stream = Terminal()
    with Progress(stream).step("Starting"):
        assert stream.getvalue() == "Starting"
    assert stream.getvalue() == "Starting\r\x1b[KStarting: done in 0.0 s\n"


def test_a_step_that_fails_is_not_called_done() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), Progress(stream).step("Starting"):
        raise ValueError("no")
    assert stream.getvalue() == "Starting: stopped\n"
