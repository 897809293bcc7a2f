"""Reads JSON and parameters as they are given on a command line. What cannot be read is wrong usage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import click

from cli.api import Document


def json_object(text: str, option: str) -> Document:
    """What is given as JSON, or as the name of a file behind @."""
    try:
        found = _json(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"cannot be read: {error}", param_hint=option) from error
    if not isinstance(found, dict):
        raise click.BadParameter("must be a JSON object", param_hint=option)
    return found


def parameters_of(given: tuple[str, ...], file: BinaryIO | None) -> Document:
    """Parameters from a file, and from NAME=VALUE over them."""
    parameters: Document = {}
    if file is not None:
        try:
            parameters = _json(file.read())
        except ValueError as error:
            raise click.BadParameter(f"is not JSON: {error}", param_hint="--file") from error
        if not isinstance(parameters, dict):
            raise click.BadParameter("must be a JSON object", param_hint="--file")
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
        try:
            parameters[name] = _json(value)
        except ValueError:
            parameters[name] = value
    try:
        json.dumps(parameters, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter("is not UTF-8", param_hint="--param") from error
    return parameters


def _json(text: str | bytes) -> Any:
    """JSON as RFC 8259 has it. Raises `ValueError`, also for what cannot be sent: NaN, 1e999."""
    found = json.loads(text)
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    return found
