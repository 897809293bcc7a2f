"""Log lines of a worker process: one handler on the root logger, to standard error.

Levels come from `logging.logLevel` of host.json, whose categories are logger names here
(https://learn.microsoft.com/azure/azure-functions/configure-monitoring#configure-log-levels).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}

# Log each request and retry at INFO; in Azure they end up beside the app's own lines.
_NOISY = ("azure", "uvicorn", "asyncio")


def set_up_logging(levels: Mapping[str, str]) -> None:
    """Send all log records to standard error at the levels that host.json names."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        "[%(asctime)s.%(msecs)03dZ] %(process)d %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(_level(levels.get("default", "Information")))
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    for category, level in levels.items():
        if category != "default":
            logging.getLogger(category).setLevel(_level(level))


def _level(name: str) -> int:
    return _LEVELS.get(name.lower(), logging.INFO)
