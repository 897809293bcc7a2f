"""`extensions.queues.messageEncoding`.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
"""

from __future__ import annotations

import base64

import pytest

from local.functions_host.errors import MessageNotDecodable
from local.functions_host.host_json import MessageEncoding
from local.functions_host.message_encoding import decode_message, encode_message


@pytest.mark.parametrize("body", [b"", b"text", "é".encode(), bytes(range(256))])
def test_base64_carries_any_bytes(body: bytes) -> None:
    text = encode_message(body, MessageEncoding.BASE64)
    assert text == base64.b64encode(body).decode()
    assert decode_message(text, MessageEncoding.BASE64) == body


def test_none_leaves_the_text_as_it_is() -> None:
    assert encode_message(b'{"a": 1}', MessageEncoding.NONE) == '{"a": 1}'
    assert decode_message("aGk=", MessageEncoding.NONE) == b"aGk="


@pytest.mark.parametrize("text", ['{"a": 1}', "aGk", "aGk==", "a-_b", "é", "aGk=aGk="])
def test_a_text_that_is_not_base64_cannot_be_decoded(text: str) -> None:
    with pytest.raises(MessageNotDecodable):
        decode_message(text, MessageEncoding.BASE64)


def test_white_space_in_base64_is_ignored_as_dotnet_does() -> None:
    assert decode_message(" aG\r\nk= ", MessageEncoding.BASE64) == b"hi"
