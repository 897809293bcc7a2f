"""The app as it is deployed, with more workflows, in processes that die where they are told to.

Served by `python -m tests.chaos.crash_host`. CRASH_FOLDER names the folder of the trap. The times and sizes
below have no setting, because nobody should want another; only tests do, so as not to wait for them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import engine.callbacks
import engine.relay
import registration
import repositories.retention
from interfaces.errors import ServiceUnavailable
from local.functions_host.queue_listener import QueueListener
from local.functions_host.queue_processor import QueueProcessor
from repositories.blobs import AzureBlobRepository
from tests.chaos import crash_injection, crash_workflows
from tests.chaos.catalog_crash_points import CATALOG_CRASH_POINTS
from tests.chaos.collection_crash_points import COLLECTION_CRASH_POINTS
from tests.chaos.crash_points import CRASH_POINTS
from tests.chaos.export_crash_points import EXPORT_CRASH_POINTS
from tests.chaos.follow_crash_points import FOLLOW_CRASH_POINTS
from tests.chaos.raster_crash_points import RASTER_CRASH_POINTS
from tests.chaos.vector_crash_points import VECTOR_CRASH_POINTS

FOLDER = Path(os.environ["CRASH_FOLDER"])


def _unless_away(method: Callable[..., Any]) -> Callable[..., Any]:
    """A call of blob storage, which does not answer while the test has it away."""

    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        if (FOLDER / crash_injection.AWAY).exists():
            raise ServiceUnavailable("storage: no answer")
        return method(*arguments, **named)

    return call


def _impatient(make: Callable[..., None], times: int) -> Callable[..., None]:
    """A queue's processor that moves a message to the poison queue after so many deliveries."""

    @functools.wraps(make)
    def made(self: object, queue: object, poison: object, options: Any, watcher: object) -> None:
        make(self, queue, poison, replace(options, max_dequeue_count=times), watcher)

    return made


for name in ("write", "ping"):
    setattr(AzureBlobRepository, name, _unless_away(getattr(AzureBlobRepository, name)))
crash_injection.install(
    crash_injection.Trap(FOLDER),
    {
        step.place
        for point in (
            *CRASH_POINTS,
            *RASTER_CRASH_POINTS,
            *CATALOG_CRASH_POINTS,
            *COLLECTION_CRASH_POINTS,
            *VECTOR_CRASH_POINTS,
            *EXPORT_CRASH_POINTS,
            *FOLLOW_CRASH_POINTS,
        )
        for step in point.steps
    },
)
if seconds := os.environ.get("CRASH_HOLD_SECONDS"):
    engine.relay.HOLD = engine.callbacks.HOLD = timedelta(seconds=float(seconds))
if seconds := os.environ.get("CRASH_MESSAGE_LEASE_SECONDS"):
    QueueListener.__init__.__kwdefaults__ = {"lease_seconds": float(seconds)}
if times := os.environ.get("CRASH_DEQUEUE_COUNT"):
    setattr(QueueProcessor, "__init__", _impatient(QueueProcessor.__init__, int(times)))  # noqa: B010
if rows := os.environ.get("CRASH_RETENTION_PAGE"):
    repositories.retention.PAGE = int(rows)

# After the traps are set: the app takes references to handlers when it is composed.
import function_app  # noqa: E402

crash_workflows.register(function_app.job_types, function_app.task_types)
registration.check(function_app.job_types, function_app.task_types, function_app.settings.function_timeout)
app = function_app.app
