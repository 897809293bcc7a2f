"""The app as it is deployed, with more workflows, in processes that die where they are told to.

Served by `python -m tests.chaos.crash_host`. CRASH_FOLDER names the folder of the trap. The times below
have no setting, because nobody should want another; only tests do, so as not to wait for them.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import engine.relay
import registration
from local.functions_host.queue_listener import QueueListener
from tests.chaos import crash_injection, crash_workflows
from tests.chaos.crash_points import CRASH_POINTS

crash_injection.install(
    crash_injection.Trap(Path(os.environ["CRASH_FOLDER"])),
    {step.place for point in CRASH_POINTS for step in point.steps},
)
if seconds := os.environ.get("CRASH_HOLD_SECONDS"):
    engine.relay.HOLD = timedelta(seconds=float(seconds))
if seconds := os.environ.get("CRASH_MESSAGE_LEASE_SECONDS"):
    QueueListener.__init__.__kwdefaults__ = {"lease_seconds": float(seconds)}

# After the traps are set: the app takes references to handlers when it is composed.
import function_app  # noqa: E402

crash_workflows.register(function_app.job_types, function_app.task_types)
registration.check(function_app.job_types, function_app.task_types, function_app.settings.function_timeout)
app = function_app.app
