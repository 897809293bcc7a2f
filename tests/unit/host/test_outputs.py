"""What a function may set on a queue output.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-output#usage
"""

from __future__ import annotations

import azure.functions as func
import pytest

from local.functions_host.outputs import OutParameter, queue_message_bodies


@pytest.mark.parametrize(
    ("value", "bodies"),
    [
        ("text", [b"text"]),
        (b"bytes", [b"bytes"]),
        (func.QueueMessage(body="body"), [b"body"]),
        (["a", "é"], [b"a", "é".encode()]),
        ([func.QueueMessage(body="x"), "y"], [b"x", b"y"]),
        ([], []),
    ],
)
def test_text_bytes_messages_and_lists_of_them_become_messages(value: object, bodies: list[bytes]) -> None:
    assert queue_message_bodies(value) == bodies


@pytest.mark.parametrize("value", [5, object()])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        queue_message_bodies(value)


def test_an_out_parameter_holds_what_was_set_last() -> None:
    out = OutParameter()
    assert out.get() is None
    out.set("a")
    out.set("b")
    assert out.get() == "b"
