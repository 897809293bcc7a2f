"""Timer triggers: runs one function on its schedule, in one worker process at a time.

The WebJobs SDK's `TimerListener`
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError
from azure.functions.timer import TimerRequest

from local.functions_host.blob_lease import BlobLease
from local.functions_host.function_app import FunctionDefinition
from local.functions_host.invocation import Invoker
from local.functions_host.schedule import Schedule
from local.functions_host.schedule_monitor import (
    NEVER,
    ScheduleMonitor,
    ScheduleStatus,
    StartupStatus,
    check_past_due,
)

logger = logging.getLogger("Host.Timers")

# A schedule that recurs more often than this is not monitored, whatever `useMonitor` says.
_MINIMUM_MONITORED_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True)
class TimerOptions:
    """A timer trigger's properties."""

    schedule: Schedule
    run_on_startup: bool
    use_monitor: bool


def is_monitored(schedule: Schedule, use_monitor: bool, now: datetime) -> bool:
    """Tell whether occurrences are recorded: only of schedules that recur no more often than every minute."""
    first = schedule.next_after(now)
    return use_monitor and schedule.next_after(first) - first >= _MINIMUM_MONITORED_INTERVAL


class TimerListener:
    """Runs `function` when `options.schedule` is due, while this process holds `lease`."""

    def __init__(
        self,
        function: FunctionDefinition,
        options: TimerOptions,
        invoker: Invoker,
        lease: BlobLease,
        monitor: ScheduleMonitor,
        recovery_polling_interval: timedelta,
    ) -> None:
        self._function = function
        self._options = options
        self._invoker = invoker
        self._lease = lease
        monitored = is_monitored(options.schedule, options.use_monitor, datetime.now(UTC))
        self._monitor = monitor if monitored else None
        self._recovery_seconds = recovery_polling_interval.total_seconds()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Ask for the lock and run the timer while it is held, until `stop` is called."""
        while not self._stopping.is_set():
            try:
                if await self._lease.acquire():
                    await self._run_as_owner()
            except AzureError as error:
                logger.warning("Timer '%s': %s", self._function.name, str(error).partition("\n")[0])
            await self._unless_stopped(asyncio.sleep(self._recovery_seconds))

    def stop(self) -> None:
        """Start no further invocation."""
        self._stopping.set()

    async def _run_as_owner(self) -> None:
        try:
            await self._run_schedule()
        finally:
            await self._lease.release()

    async def _run_schedule(self) -> None:
        startup = await self._startup_status()
        status = startup.status
        logger.info("Timer '%s' is owned by this worker; next at %s", self._function.name, status.next)
        if startup.past_due:
            logger.info("Function '%s' is past due on startup. Executing now.", self._function.name)
            status = await self._fire(status, past_due=True)
        elif self._options.run_on_startup:
            logger.info("Function '%s' is configured to run on startup. Executing now.", self._function.name)
            status = await self._fire(status, unscheduled=True)
        while await self._due(status.next):
            status = await self._fire(status)

    async def _startup_status(self) -> StartupStatus:
        now = datetime.now(UTC)
        if self._monitor is None:
            status = ScheduleStatus(NEVER, self._options.schedule.next_after(now), NEVER)
            return StartupStatus(status, past_due=False, changed=False)
        startup = check_past_due(self._options.schedule, await self._monitor.read(), now)
        if startup.changed:
            await self._monitor.write(startup.status)
        return startup

    async def _due(self, moment: datetime) -> bool:
        """Wait until `moment`; False when the host stops or the lock is lost before."""
        while (seconds := (moment - datetime.now(UTC)).total_seconds()) > 0:
            # In steps, so that a changed clock is noticed.
            await self._unless_stopped(asyncio.sleep(min(seconds, 60.0)))
            if self._stopping.is_set() or self._lease.lost.is_set():
                return False
        return not (self._stopping.is_set() or self._lease.lost.is_set())

    async def _fire(
        self, status: ScheduleStatus, *, past_due: bool = False, unscheduled: bool = False
    ) -> ScheduleStatus:
        """Run the function and return the next status.

        An invocation that fails does not end the schedule. The next occurrence is computed from the start of
        this one, or from its scheduled moment when the clock fired a little early.
        """
        started = datetime.now(UTC)
        shown = status.as_dict() if self._monitor is not None else None
        request = TimerRequest(past_due=past_due, schedule_status=shown, schedule={"AdjustForDST": True})
        reason = f"Timer fired at {started.isoformat()}"
        await self._invoker.invoke(self._function, lambda: request, reason)
        base = started if past_due or unscheduled else max(started, status.next)
        following = ScheduleStatus(base, self._options.schedule.next_after(base), base)
        if self._monitor is not None:
            try:
                await self._monitor.write(following)
            except AzureError as error:
                logger.error("Timer '%s': status not saved: %s", self._function.name, error)
        return following

    async def _unless_stopped(self, waiting: Awaitable[None]) -> None:
        """Wait, but no longer than until `stop` is called or the lock is lost."""
        tasks = [
            asyncio.ensure_future(waiting),
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(self._lease.lost.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
