"""What fields name that jobs do not reach by themselves, and the marks that say so.

A field bears a mark in its annotation, itself or the items of its list: `Annotated[str, Read()]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


@dataclass(frozen=True)
class Read:
    """Marks a field that names a container that a job reads."""


@dataclass(frozen=True)
class Written:
    """Marks a field that names a container that a job writes."""


@dataclass(frozen=True)
class Granted:
    """Marks a field that names database roles that a job gives a right to."""


Mark = Read | Written | Granted


def named(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, type[Mark]]]:
    """Everything that a model names by marked fields: the field as a dotted path, the name, and the mark."""
    start = f"{prefix}." if prefix else ""
    for field, mark in marked_fields(type(model)):
        value = getattr(model, field)
        if isinstance(value, str):
            yield f"{start}{field}", value, mark
        elif isinstance(value, list | tuple):
            yield from ((f"{start}{field}.{n}", one, mark) for n, one in enumerate(value))
    for field in _holding_models(type(model)):
        value = getattr(model, field)
        items = value if isinstance(value, list | tuple) else [value]
        for index, item in enumerate(items):
            if isinstance(item, BaseModel):
                yield from named(item, f"{start}{field}.{index}" if items is value else f"{start}{field}")


@lru_cache(maxsize=512)
def marked_fields(model: type[BaseModel]) -> list[tuple[str, type[Mark]]]:
    """The marked fields of a model, not those of models inside it."""
    return [
        (field, type(part))
        for field, info in model.model_fields.items()
        for part in [*info.metadata, *_parts(info.annotation)]
        if isinstance(part, Read | Written | Granted)
    ]


@lru_cache(maxsize=512)
def _holding_models(model: type[BaseModel]) -> list[str]:
    return [
        field
        for field, info in model.model_fields.items()
        if any(isinstance(part, type) and issubclass(part, BaseModel) for part in _parts(info.annotation))
    ]


def _parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: types and marks, through unions, lists and `Annotated`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from annotation.__metadata__
        yield from _parts(annotation.__origin__)
    elif origin in (Union, UnionType, list, tuple):
        for argument in get_args(annotation):
            yield from _parts(argument)
    else:
        yield annotation
