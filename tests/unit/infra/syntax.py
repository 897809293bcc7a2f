"""Bicep files as their grammar reads them: what they declare.

The compiler is a program of .NET that no package registry has. The grammar finds errors of syntax;
`deployment` evaluates what is declared, and so finds names, parameters and modules that are not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

GRAMMAR = Language(tree_sitter_bicep.language())


@dataclass(frozen=True)
class Parameter:
    """What a file asks for. `default` is None where it must be given."""

    name: str
    type: str
    default: Node | None
    decorators: dict[str, list[Node]]


@dataclass(frozen=True)
class Declared:
    """A resource, with its type and API version, or a module, with its path."""

    symbol: str
    what: str
    body: Node
    existing: bool


@dataclass
class Template:
    """The declarations of a file, by name."""

    path: Path
    root: Node
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    resources: dict[str, Declared] = field(default_factory=dict)
    modules: dict[str, Declared] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    scope: str = "resourceGroup"


@cache
def template(path: Path) -> Template:
    """Read a file. Parameter files are read with their assignments as variables, which the grammar knows."""
    source = path.read_text()
    if path.suffix == ".bicepparam":
        source = re.sub(r"^param ", "var ", source, flags=re.MULTILINE)
    root = Parser(GRAMMAR).parse(source.encode()).root_node
    found = Template(path, root)
    decorators: dict[str, list[Node]] = {}
    for node in root.named_children:
        if node.type == "decorators":
            decorators = dict(map(_decorator, node.named_children))
            continue
        _declare(found, node, decorators)
        decorators = {}
    return found


def errors(node: Node) -> list[str]:
    """Where a file is no Bicep, as line and text."""
    if node.type == "ERROR" or node.is_missing:
        return [f"line {node.start_point.row + 1}: {text(node)[:60]!r}"]
    return [
        error for child in node.children if child.has_error or child.is_missing for error in errors(child)
    ]


def text(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def literal(node: Node) -> str:
    """The text of a string without anything to be put in."""
    return "".join(text(child) for child in node.named_children)


def _decorator(node: Node) -> tuple[str, list[Node]]:
    call = node.named_children[0]
    name, arguments = call.named_children
    return text(name), arguments.named_children


def _declare(found: Template, node: Node, decorators: dict[str, list[Node]]) -> None:
    parts = node.named_children
    if node.type == "target_scope_assignment":
        found.scope = literal(parts[0])
    elif node.type == "parameter_declaration":
        name, kind = text(parts[0]), text(parts[1])
        default = parts[2] if len(parts) > 2 else None
        found.parameters[name] = Parameter(name, kind, default, decorators)
    elif node.type == "variable_declaration":
        found.variables[text(parts[0])] = parts[1]
    elif node.type in ("resource_declaration", "module_declaration"):
        existing = any(child.type == "existing" for child in node.children)
        declared = Declared(text(parts[0]), literal(parts[1]), parts[-1], existing)
        kinds = found.resources if node.type == "resource_declaration" else found.modules
        kinds[declared.symbol] = declared
    elif node.type == "output_declaration":
        found.outputs[text(parts[0])] = parts[-1]
    elif node.type not in ("comment", "using_statement"):
        raise AssertionError(f"{found.path.name}: {node.type} is nothing that these files are known to have")
