"""Who names files may not write to the terminal of who looks at jobs."""

from __future__ import annotations

import httpx
import pytest
from click.testing import CliRunner

from cli.commands import Session, main

NAME = "a\x1b]0;owned\x07\x9b2J\r\u202eb.tif"
SHOWN = r"a\x1b]0;owned\x07\x9b2J\r\u202eb.tif"


@pytest.mark.parametrize(
    ("words", "status", "answer"),
    [
        (["explain"], 200, {"summary": NAME, "reasons": [{"text": NAME}], "repairs": []}),
        (
            ["logs"],
            200,
            {
                "logs": [
                    {"stage": 1, "task_index": 0, "attempt": 1, "dropped": 0}
                    | {"lines": [{"at": "now", "level": "INFO", "logger": "x", "message": NAME}]}
                ]
            },
        ),
        (["status"], 404, {"title": "Not found", "detail": NAME}),
    ],
)
def test_what_a_terminal_would_obey_is_shown(
    monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, answer: dict[str, object]
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=answer))
    monkeypatch.setattr(Session, "transport", transport)
    output = CliRunner().invoke(main, [*words, "0" * 64], color=True).output
    assert SHOWN in output
    assert not any(c in output for c in "\x1b\x07\x9b\r\u202e")
