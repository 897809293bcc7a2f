"""Timer triggers, and the lock that gives each timer one owner.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from azure.storage.blob import BlobLeaseClient, BlobServiceClient
from azure.storage.blob import ContainerClient as ContainerClientSync
from azure.storage.blob.aio import ContainerClient

from local.functions_host.blob_lease import HOSTS_CONTAINER, BlobLease
from local.functions_host.host_json import SingletonOptions
from local.functions_host.storage_clients import API_VERSION
from tests.integration.host.harness import running, until

LOCK_PERIOD = timedelta(seconds=15)
IMPATIENT = SingletonOptions(LOCK_PERIOD, timedelta(seconds=0.2))

Handler = Callable[[func.TimerRequest], Any]


def app_of(handler: Handler, schedule: str, **trigger: Any) -> func.FunctionApp:
    """An app with one timer."""
    app = func.FunctionApp()

    @app.timer_trigger(arg_name="timer", schedule=schedule, **trigger)
    def tick(timer: func.TimerRequest) -> None:
        handler(timer)

    return app


@pytest.fixture
def settings() -> dict[str, str]:
    """A host id of this test's own: locks and statuses are kept under it."""
    return {"AzureFunctionsWebHost__hostid": f"test-{uuid.uuid4().hex[:12]}"}


@pytest.fixture(scope="module", autouse=True)
def lock_of_the_dead(storage_connection_string: str) -> tuple[str, float]:
    """A lock that is held and never renewed, and since when; made first, for it takes a while to end."""
    name = f"locks/{uuid.uuid4().hex}"
    with ContainerClientSync.from_connection_string(storage_connection_string, HOSTS_CONTAINER) as container:
        if not container.exists():
            container.create_container()
        container.get_blob_client(name).upload_blob(b"")
        BlobLeaseClient(container.get_blob_client(name)).acquire(15)
    return name, time.monotonic()


def test_a_timer_fires_on_its_schedule_though_the_function_fails(
    settings: dict[str, str], storage_connection_string: str
) -> None:
    fired: list[datetime] = []

    def fail(timer: func.TimerRequest) -> None:
        fired.append(datetime.now(UTC))
        raise ValueError("no")

    async def run() -> None:
        async with running(app_of(fail, "* * * * * *"), storage_connection_string, settings=settings):
            await until(lambda: len(fired) == 3)

    asyncio.run(run())
    assert len({moment.replace(microsecond=0) for moment in fired}) == 3


def test_run_on_startup_fires_at_once_and_is_not_past_due(
    settings: dict[str, str], storage_connection_string: str
) -> None:
    fired: list[bool] = []

    async def run() -> None:
        app = app_of(lambda timer: fired.append(timer.past_due), "0 0 0 1 1 *", run_on_startup=True)
        async with running(app, storage_connection_string, settings=settings):
            await until(lambda: fired)

    asyncio.run(run())
    assert fired == [False]


def test_a_missed_occurrence_is_made_up_for_at_the_next_start_as_past_due(
    settings: dict[str, str], storage_connection_string: str
) -> None:
    seen: list[Any] = []
    host_id = settings["AzureFunctionsWebHost__hostid"]
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    missed = {
        "Last": (hour - timedelta(hours=2)).isoformat(),
        "Next": (hour - timedelta(hours=1)).isoformat(),
        "LastUpdated": (hour - timedelta(hours=2)).isoformat(),
    }
    with BlobServiceClient.from_connection_string(storage_connection_string) as service:
        container = service.get_container_client(HOSTS_CONTAINER)
        if not container.exists():
            container.create_container()
        status = container.get_blob_client(f"timers/{host_id}/Host.Functions.tick/status")
        status.upload_blob(json.dumps(missed))

        async def run() -> None:
            app = app_of(seen.append, "0 0 * * * *")
            async with running(app, storage_connection_string, settings=settings):
                await until(lambda: seen and b"Last" in status.download_blob().readall())
            async with running(
                app_of(seen.append, "0 0 * * * *"), storage_connection_string, settings=settings
            ):
                await asyncio.sleep(0.5)

        asyncio.run(run())
        recorded = json.loads(status.download_blob().readall())
    assert [timer.past_due for timer in seen] == [True]
    assert seen[0].schedule_status == missed
    assert datetime.fromisoformat(recorded["Next"]) > datetime.now(UTC)


def test_of_several_instances_one_runs_the_timer_and_another_takes_it_over_when_that_stops(
    settings: dict[str, str], storage_connection_string: str
) -> None:
    fired: list[str] = []

    async def run() -> None:
        def start(name: str) -> Any:
            app = app_of(lambda _: fired.append(name), "* * * * * *")
            return running(app, storage_connection_string, settings=settings, singleton=IMPATIENT)

        async with start("owner"):
            await until(lambda: fired)
            async with start("other"):
                await asyncio.sleep(2.2)
        async with start("heir"):
            await until(lambda: "heir" in fired, 3)

    asyncio.run(run())
    assert set(fired) == {"owner", "heir"}
    assert fired == sorted(fired, reverse=True)


def test_a_lock_that_was_taken_away_is_noticed(storage_connection_string: str) -> None:
    async def run() -> None:
        async with ContainerClient.from_connection_string(
            storage_connection_string, HOSTS_CONTAINER, api_version=API_VERSION
        ) as container:
            name = f"locks/{uuid.uuid4().hex}"
            lease = BlobLease(container, name, timedelta(seconds=15))
            assert await lease.acquire()
            # As if the clock had run: the next renewal is due now.
            lease._period = timedelta(seconds=0.2)
            assert lease._renewal is not None
            lease._renewal.cancel()
            lease._renewal = asyncio.create_task(lease._renew())
            await container.get_blob_client(name).delete_blob(lease=lease._lease)
            await asyncio.wait_for(lease.lost.wait(), 5)
            await lease.release()

    asyncio.run(run())


def test_the_lock_of_an_owner_that_died_is_taken_over_when_its_period_has_ended(
    lock_of_the_dead: tuple[str, float], storage_connection_string: str
) -> None:
    """`singleton.listenerLockPeriod`, at least 15 seconds: blob leases are no shorter."""
    name, died_at = lock_of_the_dead

    async def run() -> float:
        async with ContainerClient.from_connection_string(
            storage_connection_string, HOSTS_CONTAINER, api_version=API_VERSION
        ) as container:
            heir = BlobLease(container, name, LOCK_PERIOD)
            for _ in range(60):
                if await heir.acquire():
                    break
                await asyncio.sleep(0.5)
            taken_at = time.monotonic()
            await heir.release()
            return taken_at - died_at

    assert 14 < asyncio.run(run()) < 60
