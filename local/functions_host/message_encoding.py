"""`extensions.queues.messageEncoding`: between a message's body and its text in the queue."""

from __future__ import annotations

import base64
import binascii
import re

from local.functions_host.errors import MessageNotDecodable
from local.functions_host.host_json import MessageEncoding

# .NET's Convert.FromBase64String, which the queue client uses, skips these four characters and nothing else.
_IGNORED = re.compile(r"[ \t\r\n]")


def encode_message(body: bytes, encoding: MessageEncoding) -> str:
    """Return the text to put into the queue.

    Raises:
        UnicodeDecodeError: without an encoding, a body that is not UTF-8 cannot be a message.
    """
    if encoding is MessageEncoding.BASE64:
        return base64.b64encode(body).decode("ascii")
    return body.decode("utf-8")


def decode_message(text: str, encoding: MessageEncoding) -> bytes:
    """Return the body of a message.

    Raises:
        MessageNotDecodable: the text is not in the encoding.
    """
    if encoding is MessageEncoding.NONE:
        return text.encode("utf-8")
    try:
        return base64.b64decode(_IGNORED.sub("", text).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise MessageNotDecodable(str(error)) from error
