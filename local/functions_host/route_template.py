"""Route templates of HTTP triggers: ASP.NET Core's syntax, as the Functions host uses it.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#customize-the-http-endpoint
https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from local.functions_host.errors import HostConfigurationError
from local.functions_host.route_constraints import Constraint, parse_constraint

_PARAMETER = re.compile(r"^(?P<star>\*{0,2})(?P<name>\w+)(?P<rest>.*)$", re.DOTALL)


@dataclass(frozen=True)
class Parameter:
    """`{name:constraint=default}`, `{name?}` or `{*name}`."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    optional: bool = False
    catch_all: bool = False
    default: str | None = None

    def accepts(self, value: str) -> bool:
        """Tell whether a present value fulfils all constraints."""
        return all(constraint(value) for constraint in self.constraints)


@dataclass(frozen=True)
class Segment:
    """Literals and parameters between two slashes."""

    parts: tuple[str | Parameter, ...]

    @property
    def sole_parameter(self) -> Parameter | None:
        """The parameter that is the whole segment."""
        part = self.parts[0] if len(self.parts) == 1 else None
        return part if isinstance(part, Parameter) else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pattern = "".join(
            f"(?P<{part.name}>.+)" if isinstance(part, Parameter) else re.escape(part) for part in self.parts
        )
        return re.compile(pattern, re.IGNORECASE | re.DOTALL)

    def match(self, text: str) -> dict[str, str] | None:
        """Return the values of the parameters, or None when the text does not match."""
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        values = found.groupdict()
        for part in self.parts:
            if isinstance(part, Parameter) and not part.accepts(values[part.name]):
                return None
        return values


class RouteTemplate:
    """A parsed template.

    Literals match without regard to case; a trailing slash does not matter; a parameter matches one segment,
    `{*name}` the rest of the path, an empty one too.

    Raises:
        HostConfigurationError: the text is not a template.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip("/")
        self.segments = tuple(_parse_segment(part, self.text) for part in _split_segments(self.text))
        self._check_order()

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Return the route parameters for a path given as decoded segments, or None."""
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            parameter = segment.sole_parameter
            if parameter is not None and parameter.catch_all:
                rest = "/".join(segments[index:]) or parameter.default
                if rest is None:
                    return values
                return values | {parameter.name: rest} if parameter.accepts(rest) else None
            if index >= len(segments):
                missing = _values_of_missing(self.segments[index:])
                return None if missing is None else values | missing
            found = segment.match(segments[index])
            if found is None:
                return None
            values |= found
        return values if len(segments) <= len(self.segments) else None

    def _check_order(self) -> None:
        seen: set[str] = set()
        for index, segment in enumerate(self.segments):
            last = index == len(self.segments) - 1
            for part in segment.parts:
                if not isinstance(part, Parameter):
                    continue
                if part.name.lower() in seen:
                    raise HostConfigurationError(f"route {self.text!r}: {part.name!r} appears twice")
                seen.add(part.name.lower())
                if part.catch_all and (not last or segment.sole_parameter is None):
                    raise HostConfigurationError(f"route {self.text!r}: a catch-all must be the last segment")


def split_path(raw_path: bytes) -> list[str]:
    """Return the decoded segments of a request path; an encoded slash stays encoded, as Kestrel leaves it."""
    text = raw_path.split(b"?", 1)[0].decode("ascii", "replace").strip("/")
    if not text:
        return []
    return [unquote(re.sub("%2f", "%252F", part, flags=re.IGNORECASE)) for part in text.split("/")]


def _values_of_missing(segments: tuple[Segment, ...]) -> dict[str, str] | None:
    """Return the defaults when all segments may be absent, else None."""
    values: dict[str, str] = {}
    for segment in segments:
        parameter = segment.sole_parameter
        if parameter is None:
            return None
        if parameter.default is not None:
            values[parameter.name] = parameter.default
        elif not (parameter.optional or parameter.catch_all):
            return None
    return values


def _split_segments(text: str) -> Iterator[str]:
    """Split at slashes that are not inside a parameter: a `regex` constraint may hold some."""
    if not text:
        return
    depth, start = 0, 0
    for index, character in enumerate(text):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == "/" and depth == 0:
            yield text[start:index]
            start = index + 1
    if depth != 0:
        raise HostConfigurationError(f"route {text!r}: braces do not match")
    yield text[start:]


def _parse_segment(text: str, route: str) -> Segment:
    if not text:
        raise HostConfigurationError(f"route {route!r}: has an empty segment")
    parts: list[str | Parameter] = []
    literal, index = "", 0
    while index < len(text):
        if text[index] != "{":
            literal += text[index]
            index += 1
            continue
        end = _closing_brace(text, index)
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(_parse_parameter(text[index + 1 : end], route))
        index = end + 1
    if literal:
        parts.append(literal)
    return Segment(tuple(parts))


def _closing_brace(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise HostConfigurationError(f"route segment {text!r}: braces do not match")


def _parse_parameter(text: str, route: str) -> Parameter:
    match = _PARAMETER.match(text)
    if match is None:
        raise HostConfigurationError(f"route {route!r}: {text!r} is not a parameter")
    rest, optional, default = match["rest"], False, None
    if rest.endswith("?"):
        rest, optional = rest[:-1], True
    constraints: list[Constraint] = []
    while rest.startswith(":"):
        name, rest = _take_constraint(rest[1:])
        constraints.append(parse_constraint(name, route))
    if rest.startswith("="):
        rest, default = "", rest[1:]
    if rest:
        raise HostConfigurationError(f"route {route!r}: {text!r} is not a parameter")
    return Parameter(match["name"], tuple(constraints), optional, bool(match["star"]), default)


def _take_constraint(text: str) -> tuple[str, str]:
    """Cut one constraint off; a colon inside its parentheses belongs to it."""
    depth = 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and character in ":=":
            return text[:index], text[index:]
    return text, ""
