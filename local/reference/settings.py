"""Settings, from their model: names in the environment, types, defaults, and what the model says of them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from interfaces.settings import Settings

from .markdown import code, table

HEAD = """# Settings

Environment variables of the app, in Azure its application settings. All are read once, at the start of a
process, from `interfaces/settings.py`, of which this page is made. Names are not case-sensitive. Sizes are
bytes, or text such as `1.5GiB`; times are seconds unless a duration is named. What fits no type or bound
keeps the app from starting.

host.json has what the Functions host is told ([tuning](../how-to/tune.md#places)); signals have further
variables of OpenTelemetry's ([signals](../signals.md#to-a-collector)).
"""


def document() -> str:
    """The page."""
    says = descriptions()
    schema = Settings.model_json_schema(by_alias=False)["properties"]
    rows = [
        (code(variable(name, field)), _type(schema[name], field), _default(field), says.get(name, ""))
        for name, field in Settings.model_fields.items()
    ]
    return f"{HEAD}\n{table(('variable', 'type', 'default', ''), rows)}\n"


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable that a field is read from."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return name.upper()


def descriptions() -> dict[str, str]:
    """What stands below each field in the model's source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, following in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[field.target.id] = _by_variable(" ".join(str(following.value.value).split()))
    return found


def _by_variable(text: str) -> str:
    """Other settings by the names that they have in the environment."""
    for name, field in Settings.model_fields.items():
        text = text.replace(f"`{name}`", code(variable(name, field)))
    return text


def _type(schema: dict[str, Any], field: FieldInfo) -> str:
    if field.annotation is SecretStr:
        return "secret"
    if field.annotation is ByteSize:
        return f"size{_bounds(schema)}"
    if field.annotation is timedelta:
        return "duration"
    if "enum" in schema:
        return " or ".join(code(str(value)) for value in schema["enum"])
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    names = {"string": "text", "boolean": "true or false", "integer": "whole number"}
    kind = str(options[0].get("format") or options[0]["type"])
    return names.get(kind, kind) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {schema[name]:,}" for name, sign in signs.items() if name in schema]
    return f" {', '.join(said)}" if said else ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the system's folder for temporary files"
    value = field.default
    if isinstance(value, SecretStr) or value in ("", None):
        return "–"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, ByteSize):
        return code(value.human_readable())
    if isinstance(value, timedelta):
        return code(f"{value.total_seconds():.0f} s")
    if isinstance(value, Path):
        return code(str(value))
    return code(str(value))
