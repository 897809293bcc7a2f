"""Constraints of route parameters.

https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints
A value that does not fulfil its constraint means that the route does not match: 404, not 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from local.functions_host.errors import HostConfigurationError

Constraint = Callable[[str], bool]

_GUID = re.compile(
    r"^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|\([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\))$",
    re.IGNORECASE,
)
_INTEGER = re.compile(r"^[+-]?\d+$", re.ASCII)
_DECIMAL = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)$", re.ASCII)
_FLOAT = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$", re.ASCII)
_CALL = re.compile(r"^(?P<name>\w+)(?:\((?P<arguments>.*)\))?$", re.DOTALL)


def _integer_of_bits(bits: int) -> Constraint:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return lambda value: bool(_INTEGER.match(value)) and least <= int(value) <= most


def _is_datetime(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_WITHOUT_ARGUMENTS: dict[str, Constraint] = {
    "int": _integer_of_bits(32),
    "long": _integer_of_bits(64),
    "bool": lambda value: value.lower() in ("true", "false"),
    "alpha": lambda value: bool(re.fullmatch("[a-z]*", value, re.IGNORECASE)),
    "guid": lambda value: bool(_GUID.match(value)),
    "decimal": lambda value: bool(_DECIMAL.match(value)),
    "double": lambda value: bool(_FLOAT.match(value)),
    "float": lambda value: bool(_FLOAT.match(value)),
    "datetime": _is_datetime,
    "required": lambda value: value != "",
}


def parse_constraint(text: str, route: str) -> Constraint:
    """Return the test that a constraint such as `int`, `length(2,5)` or `regex(^a)` stands for.

    Raises:
        HostConfigurationError: no such constraint, or its arguments are not valid.
    """
    match = _CALL.match(text)
    if match is None:
        raise HostConfigurationError(f"route {route!r}: {text!r} is not a constraint")
    name, arguments = match["name"].lower(), match["arguments"]
    if arguments is None and name in _WITHOUT_ARGUMENTS:
        return _WITHOUT_ARGUMENTS[name]
    if arguments is None:
        raise HostConfigurationError(f"route {route!r}: there is no constraint {name!r}")
    if name == "regex":
        return _regex(arguments)
    try:
        return _with_numbers(name, [int(argument) for argument in arguments.split(",")])
    except (ValueError, KeyError, IndexError) as error:
        raise HostConfigurationError(f"route {route!r}: {text!r} is not a constraint") from error


def _regex(pattern: str) -> Constraint:
    # A template doubles braces and backslashes to escape them.
    compiled = re.compile(pattern.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
    return lambda value: compiled.search(value) is not None


def _with_numbers(name: str, numbers: list[int]) -> Constraint:
    first, last = numbers[0], numbers[-1]

    def is_number(value: str) -> bool:
        return bool(_INTEGER.match(value))

    return {
        "minlength": lambda value: len(value) >= first,
        "maxlength": lambda value: len(value) <= first,
        "length": lambda value: first <= len(value) <= last,
        "min": lambda value: is_number(value) and int(value) >= first,
        "max": lambda value: is_number(value) and int(value) <= first,
        "range": lambda value: is_number(value) and first <= int(value) <= last,
    }[name]
