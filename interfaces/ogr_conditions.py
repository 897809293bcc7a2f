"""Conditions in OGR SQL, as jobs about vector files are given them: what of it anybody may have evaluated.

GDAL evaluates a condition in C, where nothing can end it, and hands one about an SQLite database (GeoPackage)
to SQLite as it is, which knows queries that never end and functions that make gigabytes of nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

MAX_WILDCARDS = 2
"""`%` in a pattern. GDAL tries each with each place of the text: with 254 letters three take a tenth of a
second, four take five."""
KEYWORDS = frozenset(["AND", "OR", "NOT", "IN", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "IS", "AS"])
"""After which a parenthesis calls nothing."""
FUNCTIONS = frozenset(
    {
        *("CAST", "CONCAT", "SUBSTR", "SUBSTRING", "LOWER", "UPPER", "TRIM", "LTRIM", "RTRIM", "LENGTH"),
        *("INSTR", "COALESCE", "IFNULL", "NULLIF", "ABS", "ROUND", "MIN", "MAX", "TYPEOF"),
        *("DATE", "TIME", "DATETIME", "JULIANDAY", "STRFTIME"),
        *("ST_AREA", "ST_LENGTH", "ST_ISEMPTY", "ST_GEOMETRYTYPE", "ST_SRID"),
        *("ST_MINX", "ST_MAXX", "ST_MINY", "ST_MAXY", "ST_MINZ", "ST_MAXZ"),
    }
)
"""Those of OGR SQL, and of SQLite and GeoPackage whose result is no larger than what they are given."""
TYPES = frozenset(["CHARACTER", "CHAR", "VARCHAR", "NUMERIC", "DECIMAL", "FLOAT", "INTEGER"])
"""Of CAST, with a length."""
REFUSED = frozenset(["SELECT", "WITH", "VALUES", "FROM", "EXISTS", "GLOB", "REGEXP", "MATCH", "RAISE"])
LIKE = frozenset({"LIKE", "ILIKE"})
AFTER_PATTERN = frozenset({"", ")", "AND", "OR", "ESCAPE", "THEN", "ELSE", "END"})

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*') | (?P<name>"(?:[^"]|"")*") | (?P<number>\d[\w.]*)
    | (?P<word>[^\W\d]\w*) | (?P<sign>--|/\*|[][(),.=<>!+*/%|-]) )""",
    re.VERBOSE,
)
_ESCAPED_QUOTE = re.compile(r"\\['\"]")
"""To GDAL's parser a quote, to SQLite's the end of a text: they would not agree on what is in it."""


def checked_condition(condition: str) -> str:
    """The condition itself. Raises `ValueError` saying what of it is not taken."""
    if _ESCAPED_QUOTE.search(condition):
        raise ValueError("a quote is doubled, not escaped")
    tokens = _tokens(condition)
    for place, (kind, token) in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else ("", "")
        if kind == "word" and token in REFUSED:
            raise ValueError(f"{token} is not taken: a condition is about the attributes of one feature")
        if following[1] == "(" and kind in ("word", "name", "text"):
            _check_call(kind, token)
        if kind == "word" and token in LIKE:
            _check_pattern(following, tokens[place + 2] if place + 2 < len(tokens) else ("", ""))
        if kind == "word" and token == "IN" and following[1] != "(":
            raise ValueError("IN is followed by values in parentheses")
    return condition


def cast(condition: str, types: Mapping[str, str]) -> str:
    """The condition, which was checked, about columns of text as these types, by name in lower case."""
    tokens = _tokens(condition)
    made, end = "", 0
    for place, match in enumerate(_matches(condition)):
        kind, token = tokens[place]
        # Of CAST the type follows its AS; what is before a parenthesis is a function.
        before = tokens[place - 1][1] if place else ""
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        bare = token[1:-1].replace('""', '"') if kind == "name" else token
        is_word = kind == "word" and before != "AS" and after != "(" and token not in KEYWORDS
        type_ = types.get(bare.lower()) if kind == "name" or is_word else None
        if type_ is not None:
            start = match.start(kind)
            made += f"{condition[end:start]}CAST({match[kind]} AS {type_})"
            end = match.end()
    return made + condition[end:]


def _tokens(condition: str) -> list[tuple[str, str]]:
    """Kind and text of each, words in capitals."""
    found = []
    for match in _matches(condition):
        kind = str(match.lastgroup)
        found.append((kind, match[kind].upper() if kind == "word" else match[kind]))
    return found


def _matches(condition: str) -> Iterator[re.Match[str]]:
    place, end = 0, len(condition.rstrip())
    while place < end:
        match = _TOKEN.match(condition, place)
        if match is None or match[str(match.lastgroup)] in ("--", "/*", "[", "]"):
            rest = condition[place:].lstrip()
            raise ValueError(f"cannot be understood from {rest[:20]!r} on")
        yield match
        place = match.end()


def _check_call(kind: str, token: str) -> None:
    # Databases take a quoted name for that of a function, too.
    if kind != "word" or token not in KEYWORDS | FUNCTIONS | TYPES:
        raise ValueError(f"the function {token[:50]} is not taken; known are {', '.join(sorted(FUNCTIONS))}")


def _check_pattern(pattern: tuple[str, str], following: tuple[str, str]) -> None:
    kind, text = pattern
    if kind != "text" or following[1] not in AFTER_PATTERN:
        raise ValueError("LIKE is followed by a text in quotes, and by nothing that changes it")
    if text.count("%") > MAX_WILDCARDS:
        raise ValueError(f"a pattern of LIKE has at most {MAX_WILDCARDS} %")
