"""The lock that makes one worker process the owner of a timer: a lease on a blob.

The WebJobs SDK's singleton listener lock, in the same place: container `azure-webjobs-hosts`, blob
`locks/{host id}/Host.Functions.{function}.Listener`, taken for `singleton.listenerLockPeriod` and renewed at
half of it. When its owner dies the lease ends by itself and another worker, which asks every
`singleton.listenerLockRecoveryPollingInterval`, takes it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

logger = logging.getLogger("Host.Singleton")

HOSTS_CONTAINER = "azure-webjobs-hosts"


class BlobLease:
    """A lease on one blob, renewed while it is held. `lost` is set when it could not be kept."""

    def __init__(self, container: ContainerClient, blob_name: str, period: timedelta) -> None:
        self._container = container
        self._blob = container.get_blob_client(blob_name)
        self._period = period
        self._lease: BlobLeaseClient | None = None
        self._renewal: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()

    async def acquire(self) -> bool:
        """Take the lease if nobody has it; tell whether it was taken."""
        self.lost.clear()
        try:
            self._lease = await self._take()
        except HttpResponseError as error:
            if error.status_code == 409:
                return False
            raise
        self._renewal = asyncio.create_task(self._renew())
        return True

    async def release(self) -> None:
        """Give the lease back, so that another worker need not wait for its end."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        if self._lease is not None and not self.lost.is_set():
            with contextlib.suppress(AzureError):
                await self._lease.release()
        self._lease = None

    async def _take(self) -> BlobLeaseClient:
        seconds = int(self._period.total_seconds())
        try:
            return await self._blob.acquire_lease(lease_duration=seconds)
        except ResourceNotFoundError:
            await self._create()
            return await self._blob.acquire_lease(lease_duration=seconds)

    async def _create(self) -> None:
        with contextlib.suppress(ResourceExistsError):
            await self._container.create_container()
        # Another worker may make the blob, or lease it, in the same moment.
        with contextlib.suppress(ResourceExistsError):
            await self._blob.upload_blob(b"", overwrite=False)

    async def _renew(self) -> None:
        assert self._lease is not None
        loop = asyncio.get_running_loop()
        period = self._period.total_seconds()
        held_until = loop.time() + period
        while True:
            await asyncio.sleep(period / 2 if held_until - loop.time() > period / 2 else 1)
            try:
                asked_at = loop.time()
                await self._lease.renew()
                held_until = asked_at + period
            except AzureError as error:
                taken = getattr(error, "status_code", None) in (404, 409, 412)
                if taken or loop.time() >= held_until:
                    logger.warning("Lock '%s' was lost.", self._blob.blob_name)
                    self.lost.set()
                    return
