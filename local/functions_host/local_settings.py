"""local.settings.json: app settings of a local run.

https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file
"""

from __future__ import annotations

import json
from pathlib import Path

from local.functions_host.errors import HostConfigurationError


def load_local_settings(path: Path) -> dict[str, str]:
    """Return the `Values`; none when there is no file. Environment variables are to win over them.

    Raises:
        HostConfigurationError: the file is encrypted, or its `Values` are not texts.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise HostConfigurationError(f"{path}: cannot be read as JSON") from error
    values = document.get("Values", {}) if isinstance(document, dict) else None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise HostConfigurationError(f"{path}: Values must be an object of texts")
    if document.get("IsEncrypted") is True:
        raise HostConfigurationError(f"{path}: is encrypted; decrypt it with `func settings decrypt`")
    return {str(name): str(value) for name, value in values.items()}
