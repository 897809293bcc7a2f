"""Log lines as one JSON object each, with the work that they are about; and as text for whoever sends them.

Nothing that a line quotes, an exception among it, leaves without passing redaction.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from interfaces.settings import Settings
from interfaces.tracing import TraceContext, Value, current_traceparent

from .observing import at_hand, attributes
from .redaction import redact, trace

LONGEST_MESSAGE = 20_000


class JsonFormatter(logging.Formatter):
    """One line a record: time, level, logger, message, what is known of the work, and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without an end."""
        line: dict[str, Value] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **at_hand(),
        }
        if place := TraceContext.parse(current_traceparent()):
            line |= {"trace_id": place.trace_id, "span_id": place.span_id}
        if exception := _exception(record):
            line["exception"] = exception
        return json.dumps(line, ensure_ascii=False, default=str)


def told(record: logging.LogRecord) -> tuple[str, Mapping[str, Value]]:
    """The message with its exception, and what is known of the work, as it is sent to a collector."""
    text, exception = _message(record), _exception(record)
    return f"{text}\n{exception}" if exception else text, attributes(at_hand())


def set_up(
    settings: Settings,
    sending: Callable[
        [Callable[[logging.LogRecord], tuple[str, Mapping[str, Value]]]], logging.Handler | None
    ],
) -> None:
    """Let the handlers that the host has installed write what the settings ask for, and send lines along.

    What a worker of the Functions host logs is text to the host: of JSON, its consumers can take the fields.
    """
    root = logging.getLogger()
    if settings.log_format == "json":
        for handler in root.handlers:
            handler.setFormatter(JsonFormatter())
        # Python writes them to standard error by itself otherwise, as text and as they are.
        logging.captureWarnings(True)
    if (sender := sending(told)) is not None:
        root.addHandler(sender)


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, LookupError):
        # A line whose arguments do not fit its text is still a line.
        text = str(record.msg)
    # Names of files bring lone surrogates along, which no encoding takes.
    return redact(text.encode("utf-8", errors="replace").decode(), LONGEST_MESSAGE)


def _exception(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return trace(error) if error is not None else ""
