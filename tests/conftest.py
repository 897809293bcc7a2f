"""What every test has: the local stack's fixtures, and the option that selects the chaos tests."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.fix_stack", "tests.fix_engine", "tests.fix_app"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --chaos."""
    parser.addoption("--chaos", action="store_true", help="run only the tests marked chaos, for minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what --chaos selects unless it was given, and the other way round."""
    wanted = bool(config.getoption("--chaos"))
    chosen = [item for item in items if bool(item.get_closest_marker("chaos")) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen
