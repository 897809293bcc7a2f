"""What every test has: the local stack's fixtures, and the options that select the chaos tests."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.fix_stack",
    "tests.fix_engine",
    "tests.fix_app",
    "tests.fix_publishing",
    "tests.fix_browser",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --chaos and --thorough."""
    parser.addoption("--chaos", action="store_true", help="run only the tests marked chaos, for minutes")
    parser.addoption("--thorough", action="store_true", help="with --chaos: end a worker at more operations")


def pytest_configure(config: pytest.Config) -> None:
    """Let property tests repeat the same examples, except with --chaos, which is there to find new ones.

    And take the time they need: a busy machine is no failure.
    """
    settings.register_profile("steady", derandomize=True, deadline=None)
    if not config.getoption("--chaos"):
        settings.load_profile("steady")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what --chaos selects unless it was given, and the other way round."""
    wanted = bool(config.getoption("--chaos"))
    others = {item for item in items if bool(item.get_closest_marker("chaos")) != wanted}
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Let reports with lone surrogates, which tests of malformed messages log, cross to pytest-xdist."""
    return _encodable((yield))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_encodable(item) for item in value)
    return value
