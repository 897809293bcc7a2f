"""Messages that nobody sends on purpose: bytes, broken base64, JSON of wrong shapes, depth, size, Unicode."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from engine.boundary import Arrival, Malformed, parse, unwrap
from interfaces.queues import JobMessage, TaskMessage

MARKER = "PRIVATE-OF-A-USER"
"""Stands in long messages from character 1,500 on, where no log may quote it."""
MARKED_FROM = 1500
FIELDS = ("job_id", "run", "stage", "first", "last", "correlation_id")
TEXTS = (
    "ünïcödé ✓ 🛰️ 座標 مرحبا",
    "\u202eright to left\u202c",
    "e\u0301\u0300\u0316" * 20,
    "\u200b\u200d\ufeff",
    "\U0010ffff\ud7ff\ue000",
    "'; DROP TABLE app.jobs; --",
    "../../etc/passwd",
    "{{7*7}} ${jndi:ldap://example.org/a} %s%n",
    "",
)


def fuzzed(chance: random.Random) -> Iterator[str]:
    """Texts as they lie in a queue, without end. All are valid XML, as the queue service demands."""
    makers: tuple[Callable[[random.Random], str | bytes], ...] = (
        _bytes,
        _broken_base64,
        _wrong_shape,
        _wrong_fields,
        _deep,
        _huge_numbers,
        _unicode,
        _damaged,
        _good_with_more,
    )
    while True:
        made = chance.choice(makers)(chance)
        if isinstance(made, str) and chance.random() < 0.3 and _is_xml(made):
            yield made
        else:
            body = made.encode("utf-8", "surrogatepass") if isinstance(made, str) else made
            yield base64.b64encode(body).decode()


def understood(text: str, *, of_tasks: bool) -> bool:
    """Whether the message happens to be well-formed; it is about no job then, and nothing follows."""
    arrival = unwrap(Arrival("", "", 1, text.encode()))
    try:
        parse(arrival.body, TaskMessage if of_tasks else JobMessage)
    except Malformed:
        return False
    return True


def _good(chance: random.Random) -> dict[str, Any]:
    first = chance.randrange(100)
    return {
        "job_id": chance.randbytes(32).hex(),
        "run": chance.randint(1, 9),
        "stage": chance.randint(1, 9),
        "first": first,
        "last": first + chance.randrange(9),
        "correlation_id": "fuzz",
    }


def _private(chance: random.Random) -> str:
    """Text that is long enough for the marker to stand behind what may be logged; sometimes none."""
    if chance.random() < 0.5:
        return ""
    return "x" * MARKED_FROM + MARKER + "y" * chance.randrange(8000)


def _bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(3000)) + _private(chance).encode()


def _broken_base64(chance: random.Random) -> str:
    whole = base64.b64encode(json.dumps({**_good(chance), "note": _private(chance)}).encode()).decode()
    cut = whole[: chance.randrange(len(whole))]
    return chance.choice((cut, cut + "=", cut.replace("A", "-"), "=" + cut, cut + "\n" + cut))


def _any_value(chance: random.Random) -> Any:
    values: tuple[Any, ...] = (
        None,
        True,
        -1,
        0,
        1.5,
        2**31,
        2**63,
        10**30,
        "",
        "1",
        "NaN",
        [],
        [1],
        {},
        {"a": 1},
    )
    return chance.choice((*values, *TEXTS))


def _wrong_shape(chance: random.Random) -> str:
    value = _any_value(chance)
    for _ in range(chance.randrange(4)):
        value = chance.choice(
            ([value, _private(chance)], {chance.choice(FIELDS): value}, [_good(chance), value])
        )
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


def _wrong_fields(chance: random.Random) -> str:
    message = {**_good(chance), "note": _private(chance)}
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(FIELDS)
        if chance.random() < 0.3:
            message.pop(name, None)
        else:
            message[name] = chance.choice((_any_value(chance), _private(chance), _any_value(chance)))
    return json.dumps(message)


def _deep(chance: random.Random) -> str:
    depth = chance.choice((50, 500, 5_000, 20_000))
    opening, closing = chance.choice((("[", "]"), ('{"job_id":', "}")))
    ending = closing * depth if chance.random() < 0.5 else ""
    # 64 KiB is the most that a queue takes, in base64.
    return (opening * depth + json.dumps(_private(chance)) + ending)[:45_000]


def _huge_numbers(chance: random.Random) -> str:
    digits = chance.choice(("9" * 400, "9" * 5_000, "1e999", "-1e400", "0." + "3" * 2_000, "1E-999"))
    message = {**_good(chance), "note": _private(chance), chance.choice(FIELDS): "@"}
    return json.dumps(message).replace('"@"', digits)


def _unicode(chance: random.Random) -> str:
    text = "".join(chance.choices(TEXTS, k=chance.randint(1, 5)))
    if chance.random() < 0.5:
        return text * chance.randint(1, 30) + _private(chance)
    return json.dumps(
        {**_good(chance), chance.choice(FIELDS): text, "note": _private(chance)}, ensure_ascii=False
    )


def _damaged(chance: random.Random) -> bytes:
    body = bytearray(json.dumps({**_good(chance), "note": _private(chance)}).encode())
    for _ in range(chance.randint(1, 6)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body)


def _good_with_more(chance: random.Random) -> str:
    """Well-formed, of a release to come: a hint about a job that is not there."""
    return json.dumps({**_good(chance), "note": _private(chance)})


def _is_xml(text: str) -> bool:
    """XML 1.0, section 2.2: what Azure takes in a message, and what Azurite can give back."""
    return all(
        character in "\t\n\r"
        or " " <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character > "\uffff"
        for character in text
    )
