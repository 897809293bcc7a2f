"""The design's rules on layout, section 9: which way imports point, and how large a room may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.fix_stack import CHECKOUT

PACKAGES = (
    "interfaces",
    "engine",
    "controllers",
    "services",
    "repositories",
    "triggers",
    "local",
    "cli",
)
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def modules() -> list[Path]:
    inside = [path for package in (*PACKAGES, "tests") for path in (CHECKOUT / package).rglob("*.py")]
    return sorted([*CHECKOUT.glob("*.py"), *inside])


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_imports_point_the_way_that_the_design_allows() -> None:
    command = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_the_wrong_way_is_noticed(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text((CHECKOUT / "pyproject.toml").read_text())
    (tmp_path / "registration.py").touch()
    (tmp_path / "interfaces/models.py").write_text("import engine\n")
    (tmp_path / "controllers/workflow.py").write_text("import psycopg\nimport registration\n")
    command = (
        "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(cache_dir='.cache'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    for import_ in ("interfaces.models -> engine", "workflow -> psycopg", "workflow -> registration"):
        assert import_ in done.stdout


def test_no_module_is_too_large_to_see_at_once() -> None:
    lines = {str(module.relative_to(CHECKOUT)): len(module.read_text().splitlines()) for module in modules()}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_no_function_is_too_large_to_see_at_once() -> None:
    long = [
        f"{module.relative_to(CHECKOUT)}:{node.lineno} {node.name}"
        for module in modules()
        for node in functions(module)
        if (node.end_lineno or node.lineno) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []
