"""Access keys.

https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.http_routes import AuthLevel
from local.functions_host.keys import HostKeys, load_keys

KEYS = HostKeys(function="f-key", admin="a-key")


@pytest.mark.parametrize(
    ("level", "opened_by"),
    [
        (AuthLevel.ANONYMOUS, {None, "wrong", "f-key", "a-key"}),
        (AuthLevel.FUNCTION, {"f-key", "a-key"}),
        (AuthLevel.ADMIN, {"a-key"}),
    ],
)
def test_a_level_is_opened_by_its_key_and_all_by_the_admin_key(
    level: AuthLevel, opened_by: set[str | None]
) -> None:
    for key in (None, "wrong", "f-key", "a-key"):
        headers = {"x-functions-key": key} if key else {}
        query = {"code": key} if key else {}
        assert KEYS.allow(level, headers, {}) == (key in opened_by)
        assert KEYS.allow(level, {}, query) == (key in opened_by)


def test_missing_keys_are_made_for_their_owner_only_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "local" / "keys.json"
    made = load_keys(path)
    assert made.function != made.admin
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keys(path) == made


def test_a_broken_keys_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"function": "x"}))
    with pytest.raises(HostConfigurationError, match="admin"):
        load_keys(path)


def test_keys_do_not_appear_in_the_representation() -> None:
    assert "key" not in repr(KEYS)
