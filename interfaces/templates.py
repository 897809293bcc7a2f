"""Parameters with places to be filled in later: from a job's result, or from the tick of a schedule.

A template is JSON in which an object with one of these names, and nothing else, stands for a value:

    {"$from": "/result/files/0"}     what a JSON pointer (RFC 6901) finds in the document
    {"$join": ["a/", {"$from": …}]}  texts and whole numbers, one after the other
    {"$literal": …}                  the value itself, whatever names it holds

There is nothing to be carried out in it: no expression, no loop, no code.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from pydantic import JsonValue

from .contracts import JsonObject

OPERATORS = ("$from", "$join", "$literal")
MOST_BYTES = 2 * 1024 * 1024
"""Of JSON that may be filled in, in all places: a short template may name a long value thousands of times."""


class TemplateError(ValueError):
    """What is wrong with a template, or with the document that it is filled in from; `field` is the place."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def check(template: JsonValue, roots: Collection[str], field: str = "") -> set[str]:
    """Look at a template before there is a document.

    `roots` are the members that the document will have. Answers the places, as dotted paths, that will be
    filled in. Raises `TemplateError`.
    """
    found: set[str] = set()
    for place, name, argument in _operations(template, field):
        found.add(place)
        if name == "$from":
            parts = _parts(argument, place)
            if not parts or parts[0] not in roots:
                known = ", ".join(f"/{root}" for root in sorted(roots))
                raise TemplateError(place, f"must begin with one of {known}")
        elif name == "$join":
            if not isinstance(argument, list) or not argument:
                raise TemplateError(place, "$join takes a list of texts, whole numbers and $from")
            for index, item in enumerate(argument):
                if isinstance(item, dict):
                    check(item, roots, f"{place}.{index}")
                    if list(item) != ["$from"]:
                        raise TemplateError(f"{place}.{index}", "must be text, a whole number or $from")
                else:
                    _text(item, f"{place}.{index}")
    return found


class _Room:
    """What may still be filled in."""

    def __init__(self) -> None:
        self._left = MOST_BYTES

    def take(self, value: JsonValue, field: str) -> JsonValue:
        self._left -= len(json.dumps(value, ensure_ascii=False))
        if self._left < 0:
            raise TemplateError(field, f"all that is filled in exceeds {MOST_BYTES} bytes of JSON")
        return value


def fill(template: JsonValue, document: JsonObject, field: str = "", room: _Room | None = None) -> JsonValue:
    """The template with its places filled in from the document. Raises `TemplateError`."""
    room = room or _Room()
    if isinstance(template, list):
        return [fill(item, document, _inside(field, index), room) for index, item in enumerate(template)]
    if not isinstance(template, dict):
        return template
    name = _operator(template, field)
    if name is None:
        return {key: fill(value, document, _inside(field, key), room) for key, value in template.items()}
    argument = template[name]
    if name == "$literal":
        return argument
    if name == "$from":
        return room.take(_found(document, argument, field), field)
    assert isinstance(argument, list)
    items = enumerate(argument)
    return "".join(_text(fill(item, document, f"{field}.{i}", room), f"{field}.{i}") for i, item in items)


def filled(template: JsonObject, document: JsonObject, field: str = "") -> JsonObject:
    """The same for an object that is no operator itself. Raises `TemplateError`."""
    room = _Room()
    return {key: fill(value, document, _inside(field, key), room) for key, value in template.items()}


def _operations(template: JsonValue, field: str) -> Iterator[tuple[str, str, JsonValue]]:
    """Every operator with its place and its argument. Depth is bounded where JSON is read."""
    if isinstance(template, list):
        for index, item in enumerate(template):
            yield from _operations(item, _inside(field, index))
    elif isinstance(template, dict):
        name = _operator(template, field)
        if name is not None:
            yield field, name, template[name]
        else:
            for key, value in template.items():
                yield from _operations(value, _inside(field, key))


def _operator(template: JsonObject, field: str) -> str | None:
    reserved = [key for key in template if key.startswith("$")]
    if not reserved:
        return None
    if len(template) > 1 or reserved[0] not in OPERATORS:
        known = ", ".join(OPERATORS)
        reason = f"an object with a name that begins with $ has only that one, of {known}; $literal takes any"
        raise TemplateError(field, reason)
    return reserved[0]


def _found(document: JsonObject, pointer: JsonValue, field: str) -> JsonValue:
    value: JsonValue = document
    for part in _parts(pointer, field):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _is_index(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise TemplateError(field, f"{str(pointer)[:200]} is not there")
    return value


def _parts(pointer: JsonValue, field: str) -> list[str]:
    from jsonpointer import JsonPointer, JsonPointerException

    if not isinstance(pointer, str):
        raise TemplateError(field, "$from takes a JSON pointer")
    try:
        return [str(part) for part in JsonPointer(pointer).parts]
    except JsonPointerException as error:
        raise TemplateError(field, f"$from takes a JSON pointer: {error}") from None


def _is_index(part: str) -> bool:
    """RFC 6901, section 4: no sign, no leading zero."""
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and len(part) < 10


def _text(value: JsonValue, field: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TemplateError(field, "must be text or a whole number")


def _inside(field: str, key: object) -> str:
    name = str(key)[:200]
    return f"{field}.{name}" if field else name
