"""Queue triggers on Azurite.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.storage.queue import QueueClient

from local.functions_host.app_settings import AppSettings
from local.functions_host.function_app import read_functions
from local.functions_host.host_json import HostOptions, MessageEncoding
from local.functions_host.instance import Instance
from local.functions_host.queue_listener import QueueListener
from local.functions_host.queue_processor import QueueProcessor
from local.functions_host.queue_watcher import QueueWatcher
from local.functions_host.storage_clients import StorageClients
from tests.integration.host.harness import FAST_QUEUES, count, decoded, put, running, until, visible

Handler = Callable[[func.QueueMessage], Any]


def app_of(handler: Handler, queue_name: str, connection: str = "AzureWebJobsStorage") -> func.FunctionApp:
    """An app with one queue function."""
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="msg", queue_name=queue_name, connection=connection)
    def on_message(msg: func.QueueMessage) -> None:
        handler(msg)

    return app


def exists(queue: QueueClient) -> bool:
    try:
        queue.get_queue_properties()
    except Exception:  # noqa: BLE001 - not there is what is asked for
        return False
    return True


def test_a_message_is_given_to_the_function_with_its_metadata_and_deleted_on_success(
    queue: QueueClient, storage_connection_string: str
) -> None:
    seen: list[func.QueueMessage] = []

    async def run() -> None:
        put(queue, '{"é": 1}')
        async with running(app_of(seen.append, queue.queue_name), storage_connection_string):
            await until(lambda: seen and count(queue) == 0)

    asyncio.run(run())
    message = seen[0]
    assert message.get_json() == {"é": 1}
    assert message.dequeue_count == 1
    assert message.id
    assert message.pop_receipt
    assert message.insertion_time is not None
    assert abs(datetime.now(UTC) - message.insertion_time) < timedelta(minutes=1)
    assert message.expiration_time is not None
    assert message.time_next_visible is not None


def test_a_failing_message_is_tried_max_dequeue_count_times_and_then_moved_to_the_poison_queue(
    queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages"""
    counts: list[int | None] = []

    def fail(message: func.QueueMessage) -> None:
        counts.append(message.dequeue_count)
        raise ValueError("no")

    async def run() -> None:
        put(queue, "bad")
        assert not exists(poison)
        async with running(app_of(fail, queue.queue_name), storage_connection_string):
            await until(lambda: exists(poison) and count(queue) == 0)

    asyncio.run(run())
    assert counts == [1, 2, 3]
    assert decoded(poison) == [b"bad"]


def test_visibility_timeout_is_the_delay_after_a_failure(
    queue: QueueClient, storage_connection_string: str
) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json"""
    times: list[float] = []

    def fail_once(message: func.QueueMessage) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise ValueError("no")

    async def run() -> None:
        put(queue, "retry")
        options = replace(FAST_QUEUES, visibility_timeout=timedelta(seconds=2))
        async with running(app_of(fail_once, queue.queue_name), storage_connection_string, queues=options):
            await until(lambda: len(times) == 2)

    asyncio.run(run())
    assert 1.0 < times[1] - times[0] < 4.0


def test_a_message_dequeued_too_often_is_moved_without_running_the_function(
    queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    """A worker that dies while it runs a message never reports a failure: the count alone decides."""
    put(queue, "crashes")
    for _ in range(3):
        message = queue.receive_message()
        assert message is not None
        queue.update_message(message, visibility_timeout=0)

    async def run() -> None:
        async with running(app_of(lambda _: pytest.fail("ran"), queue.queue_name), storage_connection_string):
            await until(lambda: exists(poison) and count(queue) == 0)

    asyncio.run(run())
    assert decoded(poison) == [b"crashes"]


def test_a_message_that_is_not_base64_is_moved_to_the_poison_queue_as_it_is_at_once(
    queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    """`QueueServiceClientProvider` of the WebJobs SDK handles `MessageDecodingFailed` so."""
    seen: list[func.QueueMessage] = []

    async def run() -> None:
        queue.send_message('{"plain": "json"}')
        put(queue, "good")
        async with running(app_of(seen.append, queue.queue_name), storage_connection_string):
            await until(lambda: seen and exists(poison) and count(queue) == 0)

    asyncio.run(run())
    assert [message.get_body() for message in seen] == [b"good"]
    assert visible(poison) == ['{"plain": "json"}']


def test_a_body_that_is_not_utf8_fails_the_invocation_and_keeps_its_bytes(
    queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    async def run() -> None:
        put(queue, b"\xff\xfe\x00")
        async with running(app_of(lambda _: pytest.fail("ran"), queue.queue_name), storage_connection_string):
            await until(lambda: exists(poison) and count(queue) == 0)

    asyncio.run(run())
    assert decoded(poison) == [b"\xff\xfe\x00"]


def test_without_message_encoding_texts_pass_unchanged(
    queue: QueueClient, storage_connection_string: str
) -> None:
    seen: list[bytes] = []

    async def run() -> None:
        queue.send_message('{"plain": "json"}')
        options = replace(FAST_QUEUES, message_encoding=MessageEncoding.NONE)
        app = app_of(lambda message: seen.append(message.get_body()), queue.queue_name)
        async with running(app, storage_connection_string, queues=options):
            await until(lambda: seen)

    asyncio.run(run())
    assert seen == [b'{"plain": "json"}']


def test_a_poison_queue_has_no_poison_queue_and_its_failed_message_stays_invisible(
    queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    """`QueueListenerFactory.CreatePoisonQueueReference` and `CompleteProcessingMessageAsync`."""
    ran = threading.Event()

    def fail(message: func.QueueMessage) -> None:
        ran.set()
        raise ValueError("no")

    async def run() -> None:
        poison.create_queue()
        put(poison, "bad")
        async with running(app_of(fail, poison.queue_name), storage_connection_string):
            await until(ran.is_set)
            await asyncio.sleep(0.5)

    asyncio.run(run())
    assert (visible(poison), count(poison)) == ([], 1)


def test_at_most_batch_size_plus_new_batch_threshold_messages_are_processed_at_a_time(
    queue: QueueClient, storage_connection_string: str
) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#concurrency"""
    running_now, most, done = 0, 0, 0

    app = func.FunctionApp()

    @app.queue_trigger(arg_name="msg", queue_name=queue.queue_name, connection="AzureWebJobsStorage")
    async def on_message(msg: func.QueueMessage) -> None:
        nonlocal running_now, most, done
        running_now += 1
        most = max(most, running_now)
        # Of each batch one message takes longer: the next batch must not wait for it.
        await asyncio.sleep(0.6 if int(msg.get_body()) % 3 == 0 else 0.2)
        running_now -= 1
        done += 1

    async def run() -> None:
        put(queue, *map(str, range(12)))
        options = replace(FAST_QUEUES, batch_size=3, new_batch_threshold=1)
        async with running(app, storage_connection_string, queues=options):
            await until(lambda: done == 12)

    asyncio.run(run())
    assert most == 4


def test_the_queue_name_may_be_an_app_setting_and_the_connection_another_account(
    queue: QueueClient, storage_connection_string: str
) -> None:
    seen: list[bytes] = []

    async def run() -> None:
        put(queue, "x")
        app = app_of(lambda message: seen.append(message.get_body()), "%THE_QUEUE%", "Jobs")
        settings = {"THE_QUEUE": queue.queue_name, "Jobs": storage_connection_string}
        async with running(app, "not a connection string", settings=settings):
            await until(lambda: seen and count(queue) == 0)

    asyncio.run(run())
    assert seen == [b"x"]


def test_a_queue_that_does_not_exist_is_waited_for(
    queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    seen: list[bytes] = []
    seen_before: list[bytes] | None = None

    async def run() -> None:
        nonlocal seen_before
        app = app_of(lambda message: seen.append(message.get_body()), poison.queue_name)
        async with running(app, storage_connection_string) as instance:
            await asyncio.sleep(0.3)
            assert not exists(poison)
            assert not instance.invoker.exiting.is_set()
            seen_before = list(seen)
            poison.create_queue()
            put(poison, "late")
            await until(lambda: seen and count(poison) == 0)

    asyncio.run(run())
    assert (seen_before, seen) == ([], [b"late"])


def test_a_message_that_azurite_cannot_hand_out_is_told_in_the_log(
    queue: QueueClient, storage_connection_string: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer would not be XML; the client asks again and gets what is left, without a word."""
    seen: list[bytes] = []

    def errors() -> list[str]:
        said = [record for record in caplog.records if record.name == "Host.Queues"]
        return [record.getMessage() for record in said if record.levelname == "ERROR"]

    async def run() -> None:
        queue.send_message("a\x01b")
        async with running(
            app_of(lambda message: seen.append(message.get_body()), queue.queue_name),
            storage_connection_string,
        ):
            await until(errors)
            put(queue, "next")
            await until(lambda: seen)

    asyncio.run(run())
    assert seen == [b"next"]
    (error,) = errors()
    assert f"Queue '{queue.queue_name}'" in error
    assert "control character" in error


def test_the_lease_of_a_message_is_renewed_while_its_function_runs(
    queue: QueueClient, storage_connection_string: str
) -> None:
    """The lease of ten minutes is renewed at half of it; here it is two seconds."""
    starts: list[float] = []

    def slow(message: func.QueueMessage) -> None:
        starts.append(time.monotonic())
        time.sleep(3.5)

    async def run() -> None:
        put(queue, "long")
        settings = AppSettings({"AzureWebJobsStorage": storage_connection_string})
        functions = read_functions(app_of(slow, queue.queue_name))
        options = HostOptions(queues=FAST_QUEUES, function_timeout=None)
        instance = Instance(functions, options, settings, app_root=Path(), keys=None)
        clients = StorageClients(settings)
        client = clients.queue(None, queue.queue_name)
        processor = QueueProcessor(client, None, FAST_QUEUES, QueueWatcher())
        listener = QueueListener(
            functions[0], client, processor, instance.invoker, FAST_QUEUES, lease_seconds=2
        )
        polling = asyncio.create_task(listener.run())
        await until(lambda: starts and count(queue) == 0)
        listener.stop()
        await polling
        await clients.close()
        await instance.close()

    asyncio.run(run())
    assert len(starts) == 1


def test_stopping_takes_no_further_message_and_settles_those_in_process(
    queue: QueueClient, storage_connection_string: str
) -> None:
    started: list[bytes] = []

    def slow(message: func.QueueMessage) -> None:
        started.append(message.get_body())
        time.sleep(1.0)

    async def run() -> None:
        put(queue, "first")
        async with running(app_of(slow, queue.queue_name), storage_connection_string) as instance:
            await until(lambda: started)
            instance.stop()
            # A poll that is under way may still bring a message; afterwards there is none.
            await asyncio.sleep(0.4)
            put(queue, "second")

    asyncio.run(run())
    assert started == [b"first"]
    assert decoded(queue) == [b"second"]


def test_after_a_function_timeout_what_was_in_flight_is_released_with_its_dequeue_count(
    queue: QueueClient, storage_connection_string: str
) -> None:
    """The real host outlives its worker process: it counts the killed invocations as failed."""
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="msg", queue_name=queue.queue_name, connection="AzureWebJobsStorage")
    async def on_message(msg: func.QueueMessage) -> None:
        await asyncio.sleep(60)

    async def run() -> None:
        put(queue, "a", "b")
        timeout = timedelta(seconds=0.5)
        async with running(app, storage_connection_string, function_timeout=timeout) as instance:
            await instance.invoker.exiting.wait()

    asyncio.run(run())
    assert sorted(decoded(queue)) == [b"a", b"b"]
    assert [message.dequeue_count for message in queue.receive_messages()] == [2, 2]
