"""Runs functions: arguments, thread pool or event loop, time limit, outputs, log lines."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from azure.functions import HttpResponse

from local.functions_host.errors import WorkerProcessExited
from local.functions_host.function_app import HTTP_OUTPUT, FunctionDefinition
from local.functions_host.invocation_context import InvocationContext
from local.functions_host.outputs import OutParameter, QueueOutput, queue_message_bodies

logger = logging.getLogger("Host.Executor")


@dataclass(frozen=True)
class InvocationResult:
    """How an invocation ended: `error` is None on success; `http_value` is what its HTTP output got."""

    http_value: Any = None
    error: BaseException | None = None

    @property
    def succeeded(self) -> bool:
        """Tell whether the function ran without an error and its outputs were written."""
        return self.error is None


class Invoker:
    """Runs the functions of one worker process.

    Plain functions run on one thread pool of `threads` threads, `async` ones on the event loop
    (https://learn.microsoft.com/azure/azure-functions/python-scale-performance-reference). An invocation that
    runs longer than `function_timeout` ends the process and with it everything in flight: `exiting` is set,
    all running invocations fail, and the worker exits
    (https://learn.microsoft.com/azure/azure-functions/functions-host-json#functiontimeout).
    """

    def __init__(
        self, queue_output: QueueOutput, *, threads: int | None, function_timeout: timedelta | None
    ) -> None:
        self._queue_output = queue_output
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="function")
        self._timeout = function_timeout
        self._running = 0
        self.exiting = asyncio.Event()

    @property
    def running(self) -> int:
        """Number of invocations in flight."""
        return self._running

    def shut_down(self) -> None:
        """Start no further plain functions; do not wait for those that run."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def invoke(
        self, definition: FunctionDefinition, trigger_value: Callable[[], object], reason: str
    ) -> InvocationResult:
        """Run a function and write its outputs; never raises.

        `trigger_value` makes the trigger's argument; when it raises, the invocation fails as one whose
        trigger cannot be bound.
        """
        invocation_id = str(uuid.uuid4())
        log = logging.getLogger(f"Function.{definition.name}")
        log.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", definition.name, reason, invocation_id)
        started = time.monotonic()
        self._running += 1
        try:
            value = await self._run(definition, trigger_value, invocation_id)
            result = InvocationResult(value)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _being_cancelled():
                raise
            result = InvocationResult(error=error)
        finally:
            self._running -= 1
        milliseconds = round((time.monotonic() - started) * 1000)
        outcome = "Succeeded" if result.succeeded else "Failed"
        log.log(
            logging.INFO if result.succeeded else logging.ERROR,
            "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)",
            definition.name,
            outcome,
            invocation_id,
            milliseconds,
            exc_info=result.error,
        )
        return result

    async def _run(
        self, definition: FunctionDefinition, trigger_value: Callable[[], object], invocation_id: str
    ) -> Any:
        context = InvocationContext(invocation_id, definition.name, definition.directory)
        outs = {binding.name: OutParameter() for binding in definition.parameter_outputs}
        arguments: dict[str, Any] = {definition.trigger.name: trigger_value(), **outs}
        if definition.wants_context:
            arguments["context"] = context
        value = await self._call_within_time(definition, context, arguments)
        _check_return_value(definition, value)
        return await self._write_outputs(definition, outs, value)

    async def _call_within_time(
        self, definition: FunctionDefinition, context: InvocationContext, arguments: dict[str, Any]
    ) -> Any:
        if self.exiting.is_set():
            raise WorkerProcessExited("the worker process is ending")
        call = asyncio.ensure_future(self._call(definition, context, arguments))
        exiting = asyncio.ensure_future(self.exiting.wait())
        seconds = None if self._timeout is None else self._timeout.total_seconds()
        try:
            await asyncio.wait({call, exiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if call.done():
                return call.result()
            if not self.exiting.is_set():
                logger.error(
                    "Timeout value of %s exceeded by function 'Functions.%s' (Id=%s). The process ends.",
                    self._timeout,
                    definition.name,
                    context.invocation_id,
                )
                self.exiting.set()
            raise WorkerProcessExited(f"functionTimeout of {self._timeout} exceeded in this worker process")
        finally:
            exiting.cancel()
            if not call.done():
                call.cancel()

    def _call(
        self, definition: FunctionDefinition, context: InvocationContext, arguments: dict[str, Any]
    ) -> Awaitable[Any]:
        if definition.is_async:
            context.thread_local_storage.invocation_id = context.invocation_id
            value: Awaitable[Any] = definition.handler(**arguments)
            return value

        def run_on_thread() -> Any:
            context.thread_local_storage.invocation_id = context.invocation_id
            return definition.handler(**arguments)

        copied = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(self._pool, copied.run, run_on_thread)

    async def _write_outputs(
        self, definition: FunctionDefinition, outs: dict[str, OutParameter], value: Any
    ) -> Any:
        """Write the queue outputs and return the value of the HTTP output, which the caller answers with."""
        http_value = None
        for binding in definition.outputs:
            output = outs[binding.name].get() if binding.name in outs else value
            if binding.type == HTTP_OUTPUT:
                http_value = output
            elif output is not None:
                await self._queue_output.send(binding, queue_message_bodies(output))
        return http_value


def _check_return_value(definition: FunctionDefinition, value: Any) -> None:
    """Refuse what the Python worker refuses."""
    binding = definition.return_binding
    if value is None:
        return
    if binding is None:
        raise RuntimeError(
            f"function {definition.name!r} without a $return binding returned a non-None value"
        )
    if binding.type == HTTP_OUTPUT and not isinstance(value, str | HttpResponse):
        raise TypeError(f"unable to encode outgoing TypedData: unsupported type {type(value).__name__!r}")


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
