"""host.json: the settings of the Functions host that this host honours.

Names, defaults and limits are those of the host.json reference
(https://learn.microsoft.com/azure/azure-functions/functions-host-json) and of the queue settings
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from local.functions_host.errors import HostConfigurationError
from local.functions_host.timespan import parse_timespan

UNLIMITED_TIMEOUT = "-1"


class MessageEncoding(StrEnum):
    """How bodies of queue messages are encoded in the queue service."""

    BASE64 = "base64"
    NONE = "none"


@dataclass(frozen=True)
class QueueOptions:
    """`extensions.queues`, with the defaults of the host."""

    max_polling_interval: timedelta = timedelta(minutes=1)
    visibility_timeout: timedelta = timedelta(0)
    batch_size: int = 16
    max_dequeue_count: int = 5
    new_batch_threshold: int = 8
    message_encoding: MessageEncoding = MessageEncoding.BASE64


@dataclass(frozen=True)
class SingletonOptions:
    """`singleton`: the lock that makes one instance the owner of a timer."""

    listener_lock_period: timedelta = timedelta(minutes=1)
    listener_lock_recovery_polling_interval: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class HostOptions:
    """What host.json says. `function_timeout` is None when functions may run for ever."""

    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    queues: QueueOptions = QueueOptions()
    singleton: SingletonOptions = SingletonOptions()
    log_levels: Mapping[str, str] = field(default_factory=dict)


def load_host_json(path: Path) -> HostOptions:
    """Read host.json.

    Raises:
        HostConfigurationError: the file is missing, is not JSON, or a value is out of its documented range.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HostConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise HostConfigurationError(f"{path}: is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise HostConfigurationError(f'{path}: must be an object with "version": "2.0"')
    try:
        return parse_host_json(document)
    except HostConfigurationError as error:
        raise HostConfigurationError(f"{path}: {error}") from error


def parse_host_json(document: Mapping[str, object]) -> HostOptions:
    """Return the options that a parsed host.json names."""
    extensions = _section(document, "extensions")
    http = _section(extensions, "http")
    levels = _section(_section(document, "logging"), "logLevel")
    return HostOptions(
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        function_timeout=_function_timeout(document.get("functionTimeout")),
        queues=_queue_options(_section(extensions, "queues")),
        singleton=_singleton_options(_section(document, "singleton")),
        log_levels={name: str(level) for name, level in levels.items()},
    )


def _section(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise HostConfigurationError(f"{name} must be an object")
    return value


def _function_timeout(value: object) -> timedelta | None:
    if value is None:
        return HostOptions.function_timeout
    if str(value) == UNLIMITED_TIMEOUT:
        return None
    timeout = parse_timespan(str(value))
    if timeout < timedelta(seconds=1):
        raise HostConfigurationError("functionTimeout must be at least 00:00:01, or -1")
    return timeout


def _queue_options(section: Mapping[str, object]) -> QueueOptions:
    encoding = str(section.get("messageEncoding", MessageEncoding.BASE64)).lower()
    if encoding not in set(MessageEncoding):
        raise HostConfigurationError("extensions.queues.messageEncoding must be base64 or none")
    batch_size = _integer(section, "batchSize", QueueOptions.batch_size, 1, 32)
    polling = _duration(section, "maxPollingInterval", QueueOptions.max_polling_interval, milliseconds=True)
    if polling < timedelta(milliseconds=100):
        raise HostConfigurationError("extensions.queues.maxPollingInterval must be at least 00:00:00.100")
    return QueueOptions(
        max_polling_interval=polling,
        visibility_timeout=_duration(section, "visibilityTimeout", QueueOptions.visibility_timeout),
        batch_size=batch_size,
        max_dequeue_count=_integer(section, "maxDequeueCount", QueueOptions.max_dequeue_count, 1, 2**31 - 1),
        # The documented default is half of the batch size (times the processors on some plans).
        new_batch_threshold=_integer(section, "newBatchThreshold", batch_size // 2, 0, 2**31 - 1),
        message_encoding=MessageEncoding(encoding),
    )


def _singleton_options(section: Mapping[str, object]) -> SingletonOptions:
    period = _duration(section, "listenerLockPeriod", SingletonOptions.listener_lock_period)
    if not timedelta(seconds=15) <= period <= timedelta(seconds=60):
        raise HostConfigurationError("singleton.listenerLockPeriod must be from 00:00:15 to 00:01:00")
    return SingletonOptions(
        listener_lock_period=period,
        listener_lock_recovery_polling_interval=_duration(
            section,
            "listenerLockRecoveryPollingInterval",
            SingletonOptions.listener_lock_recovery_polling_interval,
        ),
    )


def _integer(section: Mapping[str, object], name: str, default: int, least: int, most: int) -> int:
    value = section.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise HostConfigurationError(f"{name} must be a whole number from {least} to {most}")
    return value


def _duration(
    section: Mapping[str, object], name: str, default: timedelta, *, milliseconds: bool = False
) -> timedelta:
    value = section.get(name, default)
    if isinstance(value, timedelta):
        return value
    if milliseconds and isinstance(value, int):
        return timedelta(milliseconds=value)
    try:
        duration = parse_timespan(str(value))
    except HostConfigurationError as error:
        raise HostConfigurationError(f"{name}: {error}") from error
    if duration < timedelta(0):
        raise HostConfigurationError(f"{name} must not be negative")
    return duration
