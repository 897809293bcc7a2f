"""local.settings.json.

https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file
"""

from __future__ import annotations

from pathlib import Path

import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.local_settings import load_local_settings


def test_values_are_app_settings(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text('{"IsEncrypted": false, "Values": {"A": "1"}, "Host": {"CORS": "*"}}')
    assert load_local_settings(path) == {"A": "1"}


def test_the_file_may_be_missing(tmp_path: Path) -> None:
    assert load_local_settings(tmp_path / "local.settings.json") == {}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"Values": {"A": 1}}', '{"IsEncrypted": true, "Values": {"A": "x"}}']
)
def test_a_file_that_cannot_be_used_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(text)
    with pytest.raises(HostConfigurationError, match=r"local\.settings\.json"):
        load_local_settings(path)
