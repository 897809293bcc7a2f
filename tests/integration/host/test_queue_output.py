"""Queue output bindings on Azurite.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-output
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import azure.functions as func
import httpx
import pytest
from azure.storage.queue import QueueClient

from local.functions_host.instance import Instance
from tests.integration.host.harness import FAST_QUEUES, decoded, running, until


async def post(instance: Instance, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(instance.application)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path)


def test_what_a_function_sets_is_put_into_the_queue_which_is_made_when_missing(
    poison: QueueClient, storage_connection_string: str
) -> None:
    app, name = func.FunctionApp(), poison.queue_name

    @app.route()
    @app.queue_output(arg_name="out", queue_name="%OUT%", connection="AzureWebJobsStorage")
    def send(req: func.HttpRequest, out: func.Out[list[str]]) -> str:
        out.set(["a", "é"])
        return "sent"

    async def run() -> None:
        async with running(app, storage_connection_string, settings={"OUT": name}) as instance:
            assert (await post(instance, "/api/send")).text == "sent"

    asyncio.run(run())
    assert sorted(decoded(poison)) == [b"a", "é".encode()]


def test_a_return_binding_sends_the_return_value(queue: QueueClient, storage_connection_string: str) -> None:
    app = func.FunctionApp()

    @app.route(binding_arg_name="resp")
    @app.queue_output(arg_name="$return", queue_name=queue.queue_name, connection="AzureWebJobsStorage")
    def send(req: func.HttpRequest, resp: func.Out[func.HttpResponse]) -> func.QueueMessage:
        resp.set(func.HttpResponse("done", status_code=202))
        return func.QueueMessage(body="body")

    async def run() -> None:
        async with running(app, storage_connection_string) as instance:
            response = await post(instance, "/api/send")
            assert (response.status_code, response.text) == (202, "done")

    asyncio.run(run())
    assert decoded(queue) == [b"body"]


@pytest.mark.parametrize("fails", [True, False])
def test_outputs_are_written_only_when_the_function_succeeds(
    fails: bool, queue: QueueClient, storage_connection_string: str
) -> None:
    app = func.FunctionApp()

    @app.route()
    @app.queue_output(arg_name="out", queue_name=queue.queue_name, connection="AzureWebJobsStorage")
    def send(req: func.HttpRequest, out: func.Out[str]) -> str:
        out.set("x")
        if fails:
            raise ValueError("no")
        return ""

    async def run() -> None:
        async with running(app, storage_connection_string) as instance:
            assert (await post(instance, "/api/send")).status_code == (500 if fails else 200)

    asyncio.run(run())
    assert decoded(queue) == ([] if fails else [b"x"])


def test_an_output_wakes_the_listener_of_the_same_process_from_its_back_off(
    queue: QueueClient, storage_connection_string: str
) -> None:
    """`SharedQueueWatcher` of the WebJobs SDK."""
    app, received = func.FunctionApp(), []

    @app.route()
    @app.queue_output(arg_name="out", queue_name=queue.queue_name, connection="AzureWebJobsStorage")
    def send(req: func.HttpRequest, out: func.Out[str]) -> str:
        out.set("x")
        return ""

    @app.queue_trigger(arg_name="msg", queue_name=queue.queue_name, connection="AzureWebJobsStorage")
    def on_message(msg: func.QueueMessage) -> None:
        received.append(time.monotonic())

    async def run() -> None:
        # By then the listener has begun to wait for 1.7 s: 0.1 + 0.1 * 2 ** 4.
        options = replace(FAST_QUEUES, max_polling_interval=timedelta(minutes=1))
        async with running(app, storage_connection_string, queues=options) as instance:
            await asyncio.sleep(2.6)
            sent = time.monotonic()
            await post(instance, "/api/send")
            await until(lambda: received)
            assert received[0] - sent < 0.5

    asyncio.run(run())
