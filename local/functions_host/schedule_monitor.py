"""Remembers when a timer ran last, so that an occurrence missed while no host ran is made up for.

The WebJobs SDK's `StorageScheduleMonitor`: blob `timers/{host id}/{function}/status` in container
`azure-webjobs-hosts`.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from local.functions_host.schedule import Schedule

# .NET's default(DateTime): "never".
NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ScheduleStatus:
    """When a timer ran last, when it runs next, and when this was written; in UTC."""

    last: datetime
    next: datetime
    last_updated: datetime

    def as_dict(self) -> dict[str, str]:
        """Return what functions read from `TimerRequest.schedule_status`."""
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }

    @classmethod
    def from_dict(cls, document: dict[str, str]) -> ScheduleStatus:
        """Read what `as_dict` made."""
        moments = (datetime.fromisoformat(document[key]) for key in ("Last", "Next", "LastUpdated"))
        return cls(*(moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments))


@dataclass(frozen=True)
class StartupStatus:
    """The status to start with, and whether an occurrence was missed."""

    status: ScheduleStatus
    past_due: bool
    changed: bool


def check_past_due(schedule: Schedule, recorded: ScheduleStatus | None, now: datetime) -> StartupStatus:
    """Return the status that a starting timer begins with.

    A timer is past due when its recorded next occurrence has gone by. When the schedule was changed since,
    the next occurrence is computed anew from the last one, but one in the past is not made up for.
    """
    if recorded is None:
        status = ScheduleStatus(last=NEVER, next=schedule.next_after(now), last_updated=now)
        return StartupStatus(status, past_due=False, changed=True)
    base = now
    if recorded.last > NEVER:
        base = recorded.last
    elif recorded.last_updated > NEVER:
        base = recorded.last_updated
    expected = schedule.next_after(base)
    changed = recorded.next != expected
    if changed:
        if now > expected:
            expected, base = schedule.next_after(now), now
        recorded = ScheduleStatus(last=NEVER, next=expected, last_updated=base)
    return StartupStatus(recorded, past_due=now > recorded.next, changed=changed)


class ScheduleMonitor:
    """Reads and writes the status of one timer."""

    def __init__(self, container: ContainerClient, blob_name: str) -> None:
        self._container = container
        self._blob = container.get_blob_client(blob_name)

    async def read(self) -> ScheduleStatus | None:
        """Return the recorded status; None when there is none, or one that cannot be read."""
        try:
            content = await (await self._blob.download_blob()).readall()
            return ScheduleStatus.from_dict(json.loads(content))
        except (ResourceNotFoundError, ValueError, KeyError, TypeError):
            return None

    async def write(self, status: ScheduleStatus) -> None:
        """Record the status."""
        content = json.dumps(status.as_dict()).encode()
        try:
            await self._blob.upload_blob(content, overwrite=True)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await self._container.create_container()
            await self._blob.upload_blob(content, overwrite=True)
