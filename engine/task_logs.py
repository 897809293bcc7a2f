"""The lines that an attempt logs, kept with its outcome: what a person who looks at one task wants to read.

A handler on the root logger finds the attempt that the code runs for by a context variable, as the meter of
blob storage does (`repositories.usage`): what a thread logs that a handler started itself is not among them.
An attempt that logs nothing costs a context variable, set and reset.
"""

from __future__ import annotations

import logging
from collections import deque
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from threading import Lock

from interfaces.jobs import AttemptLog, ClaimedTask
from repositories.json_text import clean_text, to_json

from .redaction import redact, trace

MOST_BYTES = 64 * 1024
"""Of the messages of an attempt; the newest are kept."""
LONGEST_MESSAGE = 2000
HIGHEST_LEVEL = 2**15 - 1
"""That the database keeps."""
RAW_CHARACTERS = 4 * LONGEST_MESSAGE
HANDLERS = "services"
"""The package of task handlers, of which lines are kept from INFO on. Of libraries and of the rest of the app
warnings are."""
OUTCOMES = "engine"
"""What the engine says of an attempt is its outcome, which is kept anyway."""

_current: ContextVar[TaskLog | None] = ContextVar("task_log", default=None)
_lock = Lock()
"""One for all: it is held for the time of an append."""


class TaskLog:
    """The newest lines of one attempt: of the block for which this is the context."""

    __slots__ = ("_lines", "_most", "_seen", "_token")

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: deque[tuple[float, int, str, str, str]] | None = None
        self._seen = 0
        self._token: Token[TaskLog | None] | None = None

    def __enter__(self) -> TaskLog:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        _current.reset(self._token)

    def raised(self, error: BaseException, logger: str) -> None:
        """Add an error that nobody foresaw, with where it came from: its end tells most."""
        self._add(logging.ERROR, "ERROR", logger, _end_of(trace(error).rstrip(), LONGEST_MESSAGE))

    def add(self, record: logging.LogRecord) -> None:
        """Add a line; what it holds may change later, so that its text is made now."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text = f"{text[:500]}\n{_end_of(trace(error).rstrip(), LONGEST_MESSAGE - 501)}"
        self._add(record.levelno, record.levelname, record.name, text, record.created)

    def kept(self, task: ClaimedTask) -> AttemptLog | None:
        """What there is of it, without secrets; None of an attempt that logged nothing.

        Only here is it looked through: of a handler that logs a million lines, the last are.
        """
        if self._lines is None:
            return None
        with _lock:
            lines, seen = list(self._lines), self._seen
        if not lines:
            return None
        shown: list[dict[str, str]] = []
        size = 0
        for created, _, level, logger, text in reversed(lines):
            message = redact(clean_text(text), LONGEST_MESSAGE)
            size += len(message.encode())
            if size > MOST_BYTES:
                break
            at = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
            shown.append({"at": at, "level": level, "logger": logger, "message": message})
        return AttemptLog(
            attempt=task.attempt,
            severity=max(number for _, number, *_ in lines[-len(shown) :]),
            dropped=seen - len(shown),
            lines=to_json(shown[::-1]),
        )

    def _add(self, number: int, level: str, logger: str, text: str, created: float | None = None) -> None:
        at = datetime.now(UTC).timestamp() if created is None else created
        # Libraries have levels of their own, of any number.
        line = (at, min(max(number, 0), HIGHEST_LEVEL), level[:20], logger[:200], text[:RAW_CHARACTERS])
        with _lock:
            if self._lines is None:
                self._lines = deque(maxlen=self._most)
            self._lines.append(line)
            self._seen += 1


class TaskLogHandler(logging.Handler):
    """Belongs on the root logger: hands lines to the attempt that they are about, and all others on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, if an attempt runs here and it is of those that are kept."""
        log = _current.get()
        if log is not None and is_kept(record):
            log.add(record)


def collect() -> None:
    """Let what attempts log in this process be kept with their tasks."""
    logging.getLogger().addHandler(TaskLogHandler())


def is_kept(record: logging.LogRecord) -> bool:
    """Whether a line is of the kind that is kept: by its logger's package and its level."""
    package, _, _ = record.name.partition(".")
    if package == OUTCOMES:
        return False
    return record.levelno >= (logging.INFO if package == HANDLERS else logging.WARNING)


def _end_of(text: str, limit: int) -> str:
    return text if len(text) <= limit else "…" + text[1 - limit :]
