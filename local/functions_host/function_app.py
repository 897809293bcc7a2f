"""The functions of an app, read through the public API of `azure-functions`."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.functions import FunctionRegister

from local.functions_host.errors import FunctionAppError

HTTP_TRIGGER = "httpTrigger"
QUEUE_TRIGGER = "queueTrigger"
TIMER_TRIGGER = "timerTrigger"
HTTP_OUTPUT = "http"
QUEUE_OUTPUT = "queue"
RETURN = "$return"

_TRIGGERS = (HTTP_TRIGGER, QUEUE_TRIGGER, TIMER_TRIGGER)
_OUTPUTS = (HTTP_OUTPUT, QUEUE_OUTPUT)


@dataclass(frozen=True)
class Binding:
    """One entry of a function's `bindings`, with the property names of function.json."""

    name: str
    type: str
    properties: Mapping[str, object]

    def text(self, name: str) -> str | None:
        """Return a property as text; None when it is absent or null."""
        value = self.properties.get(name)
        return None if value is None else str(value)

    def flag(self, name: str, default: bool) -> bool:
        """Return a true/false property."""
        value = self.properties.get(name)
        return default if value is None else bool(value)


@dataclass(frozen=True)
class FunctionDefinition:
    """A function as the host sees it."""

    name: str
    handler: Callable[..., Any]
    trigger: Binding
    outputs: tuple[Binding, ...]
    is_async: bool
    wants_context: bool
    directory: str = ""

    @property
    def return_binding(self) -> Binding | None:
        """The binding that takes the function's return value."""
        return next((output for output in self.outputs if output.name == RETURN), None)

    @property
    def parameter_outputs(self) -> tuple[Binding, ...]:
        """The bindings that the function sets through `func.Out` parameters."""
        return tuple(output for output in self.outputs if output.name != RETURN)


def load_function_app(specification: str, root: Path) -> tuple[FunctionDefinition, ...]:
    """Import `module:attribute` and return the app's functions.

    Raises:
        FunctionAppError: the module or the attribute is missing, importing it fails, or a function uses a
            trigger or binding that this host does not support.
    """
    module_name, _, attribute = specification.partition(":")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise FunctionAppError(f"{specification}: importing it failed: {error}") from error
    app = getattr(module, attribute or "app", None)
    if not isinstance(app, FunctionRegister):
        raise FunctionAppError(f"{specification}: is not an azure.functions app")
    return read_functions(app, str(root))


def read_functions(app: FunctionRegister, directory: str = "") -> tuple[FunctionDefinition, ...]:
    """Return the functions of an app, ordered by name as the real host orders them.

    Call it once for an app: `get_functions()` fails the second time.

    Raises:
        FunctionAppError: a function is not valid, or uses what this host does not support.
    """
    try:
        functions = app.get_functions()
    except ValueError as error:
        raise FunctionAppError(str(error)) from error
    definitions = [_definition(json.loads(f.get_function_json()), f, directory) for f in functions]
    return tuple(sorted(definitions, key=lambda definition: definition.name.lower()))


def _definition(document: Mapping[str, Any], function: Any, directory: str) -> FunctionDefinition:
    name = str(function.get_function_name())
    bindings = [Binding(str(b["name"]), str(b["type"]), b) for b in document["bindings"]]
    triggers = [b for b in bindings if b.type.endswith("Trigger")]
    unsupported = [b.type for b in bindings if b.type not in _TRIGGERS + _OUTPUTS]
    if unsupported or len(triggers) != 1:
        raise FunctionAppError(
            f"function {name!r}: this host supports {', '.join(_TRIGGERS)} with outputs "
            f"{', '.join(_OUTPUTS)}, not {', '.join(unsupported) or 'a function without a trigger'}"
        )
    handler = function.get_user_function()
    outputs = tuple(b for b in bindings if b not in triggers)
    wants_context = _check_parameters(name, handler, {b.name for b in bindings if b.name != RETURN})
    return FunctionDefinition(
        name=name,
        handler=handler,
        trigger=triggers[0],
        outputs=outputs,
        is_async=inspect.iscoroutinefunction(handler),
        wants_context=wants_context,
        directory=directory,
    )


def _check_parameters(name: str, handler: Callable[..., Any], bound: set[str]) -> bool:
    """Check the parameters against the bindings as the Python worker does; tell whether `context` is one."""
    parameters = set(inspect.signature(handler).parameters)
    wants_context = "context" in parameters and "context" not in bound
    parameters -= {"context"} if wants_context else set()
    missing, unknown = bound - parameters, parameters - bound
    if missing:
        raise FunctionAppError(f"function {name!r}: declares bindings without a parameter: {sorted(missing)}")
    if unknown:
        raise FunctionAppError(f"function {name!r}: has parameters without a binding: {sorted(unknown)}")
    return wants_context
