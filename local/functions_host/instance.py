"""One instance of the function app: everything that serves its functions in one process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from azure.functions.timer import TimerRequest

from local.functions_host.app_settings import AppSettings
from local.functions_host.blob_lease import HOSTS_CONTAINER, BlobLease
from local.functions_host.errors import HostConfigurationError
from local.functions_host.function_app import QUEUE_TRIGGER, TIMER_TRIGGER, FunctionDefinition
from local.functions_host.host_json import HostOptions
from local.functions_host.http_routes import RouteTable
from local.functions_host.http_server import MAX_BODY_BYTES, HttpServer
from local.functions_host.invocation import Invoker
from local.functions_host.keys import HostKeys
from local.functions_host.outputs import QueueOutput
from local.functions_host.queue_listener import QueueListener
from local.functions_host.queue_processor import QueueProcessor, is_valid_queue_name, poison_queue_name
from local.functions_host.queue_watcher import QueueWatcher
from local.functions_host.received_message import function_message
from local.functions_host.schedule import parse_schedule
from local.functions_host.schedule_monitor import ScheduleMonitor
from local.functions_host.storage_clients import StorageClients
from local.functions_host.timer_listener import TimerListener, TimerOptions

logger = logging.getLogger("Host.Startup")


class Instance:
    """The listeners and the HTTP application of one worker process. Made and used on one event loop.

    Raises:
        HostConfigurationError: a binding's value is not valid; the message names the function.
    """

    def __init__(
        self,
        functions: tuple[FunctionDefinition, ...],
        options: HostOptions,
        settings: AppSettings,
        *,
        app_root: Path,
        keys: HostKeys | None,
    ) -> None:
        functions = tuple(f for f in functions if not settings.is_disabled(f.name))
        self.functions = functions
        self._options = options
        self._settings = settings
        self._host_id = host_id(settings, app_root)
        self._watcher = QueueWatcher()
        self._clients = StorageClients(settings)
        self._output = QueueOutput(self._clients, settings, self._watcher, options.queues.message_encoding)
        self.invoker = Invoker(
            self._output,
            threads=thread_count(settings),
            function_timeout=options.function_timeout,
        )
        self.routes = RouteTable(functions, options.route_prefix)
        server = HttpServer(
            functions,
            self.routes,
            self.invoker,
            keys=keys,
            trigger_manually=self._trigger_manually,
            max_body_bytes=max_body_bytes(settings),
        )
        self.application = server.application()
        by_trigger = {
            kind: [function for function in functions if function.trigger.type == kind]
            for kind in (QUEUE_TRIGGER, TIMER_TRIGGER)
        }
        self._queue_listeners = [self._queue_listener(function) for function in by_trigger[QUEUE_TRIGGER]]
        self._timer_listeners = [self._timer_listener(function) for function in by_trigger[TIMER_TRIGGER]]
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Start to poll queues and to wait for timers."""
        listeners: list[QueueListener | TimerListener] = [*self._queue_listeners, *self._timer_listeners]
        for listener in listeners:
            self._keep(listener.run())

    def stop(self) -> None:
        """Take no further messages and start no further timers."""
        listeners: list[QueueListener | TimerListener] = [*self._queue_listeners, *self._timer_listeners]
        for listener in listeners:
            listener.stop()

    async def drain(self) -> None:
        """Wait until what is in flight has ended and is settled."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        for listener in self._queue_listeners:
            await listener.drain()

    async def close(self) -> None:
        """Close what is open towards the storage account."""
        self.invoker.shut_down()
        await self._clients.close()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # Like the real host, which ends on an unhandled exception of a listener and is started again.
            logger.critical("A listener failed.", exc_info=task.exception())
            self.invoker.exiting.set()

    def _queue_listener(self, function: FunctionDefinition) -> QueueListener:
        connection = function.trigger.text("connection")
        try:
            name = self._settings.expand(function.trigger.text("queueName") or "").lower()
            if not is_valid_queue_name(name):
                raise HostConfigurationError(f"{name!r} is not a valid queue name")
            queue = self._clients.queue(connection, name)
        except HostConfigurationError as error:
            raise HostConfigurationError(f"function {function.name!r}: {error}") from error
        poison_name = poison_queue_name(name)
        poison = self._clients.queue(connection, poison_name) if poison_name else None
        processor = QueueProcessor(queue, poison, self._options.queues, self._watcher)
        listener = QueueListener(function, queue, processor, self.invoker, self._options.queues)
        self._watcher.register(name, listener.notify)
        return listener

    def _timer_listener(self, function: FunctionDefinition) -> TimerListener:
        trigger = function.trigger
        try:
            options = TimerOptions(
                schedule=parse_schedule(self._settings.expand(trigger.text("schedule") or "")),
                run_on_startup=trigger.flag("runOnStartup", False),
                use_monitor=trigger.flag("useMonitor", True),
            )
            container = self._clients.container(None, HOSTS_CONTAINER)
        except HostConfigurationError as error:
            raise HostConfigurationError(f"function {function.name!r}: {error}") from error
        full_name = f"Host.Functions.{function.name}"
        singleton = self._options.singleton
        return TimerListener(
            function,
            options,
            self.invoker,
            BlobLease(
                container, f"locks/{self._host_id}/{full_name}.Listener", singleton.listener_lock_period
            ),
            ScheduleMonitor(container, f"timers/{self._host_id}/{full_name}/status"),
            singleton.listener_lock_recovery_polling_interval,
        )

    async def _trigger_manually(self, function: FunctionDefinition, text: str) -> None:
        """Start the function in the background with the text as its trigger's input."""
        value: object = TimerRequest()
        if function.trigger.type == QUEUE_TRIGGER:
            value = function_message(id="", body=text, dequeue_count=0)

        async def run() -> None:
            reason = "This function was programmatically called via the host APIs."
            await self.invoker.invoke(function, lambda: value, reason)

        self._keep(run())


def host_id(settings: AppSettings, app_root: Path) -> str:
    """Return the id under which locks and timers are kept: the same for all instances of an app.

    https://learn.microsoft.com/azure/azure-functions/storage-considerations#host-id-considerations
    """
    configured = settings.get("AzureFunctionsWebHost__hostid") or settings.get("WEBSITE_SITE_NAME")
    if configured:
        return configured.lower()[:32].strip("-")
    identity = json.dumps([socket.gethostname(), os.fspath(app_root.resolve())])
    return "local-" + hashlib.sha256(identity.encode()).hexdigest()[:26]


def max_body_bytes(settings: AppSettings) -> int:
    """Return the largest request body: 100 MB, or `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT` in bytes.

    https://learn.microsoft.com/azure/azure-functions/functions-app-settings#functions_request_body_size_limit
    """
    text = settings.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT") or ""
    return int(text) if text.isdecimal() else MAX_BODY_BYTES


def thread_count(settings: AppSettings) -> int | None:
    """Return the size of the pool for plain functions: `PYTHON_THREADPOOL_THREAD_COUNT`.

    None leaves it to Python, min(32, processors + 4), which is what the Python worker does from 3.9 on; it
    warns of a value that is not a positive integer and ignores it.
    https://learn.microsoft.com/azure/azure-functions/functions-app-settings#python_threadpool_thread_count
    """
    text = settings.get("PYTHON_THREADPOOL_THREAD_COUNT")
    if text is None:
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        logger.warning("PYTHON_THREADPOOL_THREAD_COUNT must be a positive integer; using the default")
        return None
    return int(text)
