"""Evaluates Bicep files as far as that can be done without Azure: what would be deployed, with which values.

What only Azure knows, such as the id of an identity, is made up. Of the language there is what the files use;
whatever else they come to use raises, and so does a name or a parameter that is not there.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tree_sitter import Node

from .syntax import Declared, Template, template, text

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
SUFFIXES = {"storage": "core.windows.net"}


class Undefined(AssertionError):
    """A file speaks of something that is not there."""


@dataclass(frozen=True)
class Resource:
    """A resource as it would be deployed, or one that another module deploys (`existing`)."""

    type: str
    api: str
    body: Mapping[str, Any]
    existing: bool
    group: str

    @property
    def name(self) -> str:
        """The whole name, with those of its parents."""
        parent = self.body.get("parent")
        own = str(self.body["name"])
        return f"{parent.name}/{own}" if parent is not None else own

    @property
    def id(self) -> str:
        """The resource id."""
        provider, *kinds = self.type.split("/")
        pairs = "/".join(f"{kind}/{name}" for kind, name in zip(kinds, self.name.split("/"), strict=True))
        scope = self.body.get("scope")
        where = scope.id if isinstance(scope, Resource) else f"{SUBSCRIPTION}{self.group}"
        return f"{where}/providers/{provider}/{pairs}"

    @property
    def properties(self) -> Any:
        """The declared ones and, by the names that are used, those that Azure gives."""
        made = {
            "clientId": str(uuid.uuid5(uuid.NAMESPACE_URL, self.id + "client")),
            "principalId": str(uuid.uuid5(uuid.NAMESPACE_URL, self.id + "principal")),
            "ConnectionString": f"InstrumentationKey={uuid.uuid5(uuid.NAMESPACE_URL, self.id)}",
            "primaryEndpoints": {"blob": f"https://{self.name}.blob.core.windows.net/"},
            "fullyQualifiedDomainName": f"{self.name}.postgres.database.azure.com",
        }
        return {**made, **self.body.get("properties", {})}


class Deployment:
    """A file with its parameters. Everything is evaluated when it is asked for."""

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self.template: Template = template(path)
        self._environment = environment or {}
        self._known: dict[str, Any] = {}
        self._group = "" if self.template.scope == "subscription" else "/resourceGroups/group"
        declared = self.template.parameters
        missing = [
            one.name for one in declared.values() if one.default is None and one.name not in parameters
        ]
        unknown = sorted(set(parameters) - set(declared))
        if missing or unknown:
            raise Undefined(f"{path.name}: lacks {missing}, knows no {unknown}")
        self.parameters: dict[str, Any] = {}
        for name, parameter in declared.items():
            given = name in parameters
            self.parameters[name] = parameters[name] if given else self._value(parameter.default, {})
            self._check_parameter(name, self.parameters[name])

    def variable(self, name: str) -> Any:
        """A variable's value."""
        return self._value(self.template.variables[name], {})

    @property
    def outputs(self) -> dict[str, Any]:
        """All outputs."""
        return {name: self._value(node, {}) for name, node in self.template.outputs.items()}

    def resources(self) -> list[Resource]:
        """What this file and its modules deploy."""
        own = [one for symbol in self.template.resources for one in _flat(self._symbol(symbol))]
        return [one for one in own if not one.existing] + [
            one for module in self.modules().values() for one in module.resources()
        ]

    def modules(self) -> dict[str, Deployment]:
        """Its modules that are not conditional, or whose condition holds."""
        found = {symbol: self._symbol(symbol) for symbol in self.template.modules}
        return {symbol: module for symbol, module in found.items() if module is not None}

    def _check_parameter(self, name: str, value: Any) -> None:
        declared = self.template.parameters[name]
        limits = {kind: self._value(nodes[0], {}) for kind, nodes in declared.decorators.items() if nodes}
        kind: type = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}[declared.type]
        where = f"{self.template.path.name}: {name} is {value!r}"
        assert type(value) is kind, where
        assert value in limits.get("allowed", [value]), where
        if "minValue" in limits:
            assert value >= limits["minValue"], where
        if "maxValue" in limits:
            assert value <= limits["maxValue"], where
        if "minLength" in limits:
            assert len(str(value)) >= limits["minLength"], where

    def _symbol(self, name: str) -> Any:
        """What a name outside any loop stands for."""
        declared = self.template
        if name in self.parameters:
            return self.parameters[name]
        if name in self._known:
            return self._known[name]
        if name in declared.variables:
            made = self._value(declared.variables[name], {})
        elif name in declared.resources:
            made = self._made(declared.resources[name], self._resource)
        elif name in declared.modules:
            made = self._made(declared.modules[name], self._module)
        else:
            raise Undefined(f"{declared.path.name}: there is no {name}")
        self._known[name] = made
        return made

    def _made(self, declared: Declared, make: Callable[[Declared, dict[str, Any]], Any]) -> Any:
        """One, none or a list of them, as conditions and loops will."""

        def one(node: Node, local: dict[str, Any]) -> Any:
            if node.type == "if_statement":
                condition, body = node.named_children
                return one(body, local) if self._value(condition, local) else None
            return make(declared, self._value(node, local))

        if declared.body.type == "for_statement":
            return self._loop(declared.body, {}, one)
        return one(declared.body, {})

    def _resource(self, declared: Declared, body: dict[str, Any]) -> Resource:
        kind, _, api = declared.what.partition("@")
        return Resource(kind, api, body, declared.existing, self._group)

    def _module(self, declared: Declared, body: dict[str, Any]) -> Deployment:
        path = (self.template.path.parent / declared.what).resolve()
        return Deployment(path, body["params"])

    def _loop(
        self, node: Node, local: dict[str, Any], body: Callable[[Node, dict[str, Any]], Any]
    ) -> list[Any]:
        names, over, what = node.named_children
        loop = [text(part) for part in names.named_children] or [text(names)]
        rows = enumerate(self._value(over, local))
        return [body(what, {**local, **dict(zip(loop, (item, i), strict=False))}) for i, item in rows]

    def _value(self, node: Node | None, local: dict[str, Any]) -> Any:
        assert node is not None
        evaluate = getattr(self, f"_{node.type}", None)
        if evaluate is None:
            raise Undefined(
                f"{self.template.path.name}: {node.type} is not evaluated here: {text(node)[:60]}"
            )
        return evaluate(node, local)

    def _identifier(self, node: Node, local: dict[str, Any]) -> Any:
        name = text(node)
        return local[name] if name in local else self._symbol(name)

    def _number(self, node: Node, local: dict[str, Any]) -> int:
        return int(text(node))

    def _boolean(self, node: Node, local: dict[str, Any]) -> bool:
        return text(node) == "true"

    def _null(self, node: Node, local: dict[str, Any]) -> None:
        return None

    def _string(self, node: Node, local: dict[str, Any]) -> str:
        return "".join(self._piece(child, local) for child in node.named_children)

    def _piece(self, node: Node, local: dict[str, Any]) -> str:
        if node.type == "interpolation":
            return _text(self._value(node.named_children[0], local))
        found = text(node)
        return {"\\'": "'", "\\\\": "\\", "\\n": "\n"}.get(found, found)

    def _array(self, node: Node, local: dict[str, Any]) -> list[Any]:
        return [self._value(child, local) for child in node.named_children if child.type != "comment"]

    def _object(self, node: Node, local: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for child in node.named_children:
            if child.type == "comment":
                continue
            key, value = child.named_children
            name = text(key) if key.type == "identifier" else self._string(key, local)
            if name in made:
                raise Undefined(f"{self.template.path.name}: {name} is given twice")
            made[name] = self._value(value, local)
        return made

    def _for_statement(self, node: Node, local: dict[str, Any]) -> list[Any]:
        return self._loop(node, local, self._value)

    def _ternary_expression(self, node: Node, local: dict[str, Any]) -> Any:
        condition, yes, no = node.named_children
        return self._value(yes if self._value(condition, local) else no, local)

    def _parenthesized_expression(self, node: Node, local: dict[str, Any]) -> Any:
        return self._value(node.named_children[0], local)

    def _unary_expression(self, node: Node, local: dict[str, Any]) -> Any:
        value = self._value(node.named_children[0], local)
        return not value if text(node).startswith("!") else -value

    def _binary_expression(self, node: Node, local: dict[str, Any]) -> Any:
        left, right = node.named_children
        operator = text(node.children[1])
        first = self._value(left, local)
        if operator in ("&&", "||"):
            return self._value(right, local) if bool(first) == (operator == "&&") else first
        return OPERATORS[operator](first, self._value(right, local))

    def _subscript_expression(self, node: Node, local: dict[str, Any]) -> Any:
        of, at = (self._value(child, local) for child in node.named_children)
        return of[at]

    def _member_expression(self, node: Node, local: dict[str, Any]) -> Any:
        if node.named_children[0].type == "binary_expression":
            # `a + b.c`: the grammar has it the wrong way round, and the compiler does not.
            raise Undefined(f"{self.template.path.name}: {text(node)} is not read as it is meant")
        of, name = self._value(node.named_children[0], local), text(node.named_children[1])
        if isinstance(of, Resource | Deployment):
            return getattr(of, name)
        if not isinstance(of, Mapping) or name not in of:
            raise Undefined(f"{self.template.path.name}: there is no {text(node)}")
        return of[name]

    def _call_expression(self, node: Node, local: dict[str, Any]) -> Any:
        name, arguments = text(node.named_children[0]), node.named_children[1].named_children
        if name in ("map", "filter"):
            items = self._value(arguments[0], local)
            made = [self._lambda(arguments[1], item, local) for item in items]
            return (
                made if name == "map" else [item for item, wanted in zip(items, made, strict=True) if wanted]
            )
        values = [self._value(argument, local) for argument in arguments]
        if name == "loadJsonContent":
            return json.loads((self.template.path.parent / values[0]).read_text())
        if name == "readEnvironmentVariable":
            return self._environment.get(values[0], values[1])
        if name not in FUNCTIONS:
            raise Undefined(f"{self.template.path.name}: {name}() is not evaluated here")
        return FUNCTIONS[name](*values)

    def _lambda(self, node: Node, item: Any, local: dict[str, Any]) -> Any:
        name, body = node.named_children
        return self._value(body, {**local, text(name): item})


def _flat(made: Any) -> list[Resource]:
    if isinstance(made, list):
        return [one for part in made for one in _flat(part)]
    return [] if made is None else [made]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unique(*values: str) -> str:
    return hashlib.sha256("|".join(values).encode()).hexdigest()[:13]


def _resource_id(kind: str, *names: str) -> str:
    provider, *kinds = kind.split("/")
    pairs = "/".join(f"{one}/{name}" for one, name in zip(kinds, names, strict=True))
    return f"{SUBSCRIPTION}/resourceGroups/group/providers/{provider}/{pairs}"


def _union(*values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for value in values for name, item in value.items()}


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda first, second: first == second,
    "!=": lambda first, second: first != second,
    ">": lambda first, second: first > second,
    "+": lambda first, second: first + second,
    "*": lambda first, second: first * second,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "concat": lambda *lists: [item for one in lists for item in one],
    "contains": lambda of, what: what in of,
    "empty": lambda value: not value,
    "environment": lambda: {"suffixes": SUFFIXES},
    "join": lambda items, between: between.join(items),
    "guid": lambda *values: str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(values))),
    "resourceGroup": lambda: {"location": "northeurope"},
    "resourceId": _resource_id,
    "string": _text,
    "subscription": lambda: {"id": SUBSCRIPTION},
    "subscriptionResourceId": lambda kind, name: f"{SUBSCRIPTION}/providers/{kind}/{name}",
    "tenant": lambda: {"tenantId": TENANT},
    "toLower": str.lower,
    "union": _union,
    "uniqueString": _unique,
}
