"""The app's own threads: no function waits for the threads of another (docs/adr/0007)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

import azure.functions as func

P = ParamSpec("P")
T = TypeVar("T")

MESSAGES_AT_ONCE = 64
"""Of one queue. How many there are is the host's decision (`batchSize` + `newBatchThreshold`): a message that
it has delivered finds a thread, whatever it decides. Threads are made as they are needed."""
REQUESTS_AT_ONCE = 16


class Threads:
    """Runs what blocks in threads that one function, or all HTTP functions, have for themselves.

    The worker's own pool, on which plain `def` functions run, is one for all functions: as many long handlers
    as it has threads keep a job from being cancelled, and the reconciler from running.
    """

    def __init__(self, name: str, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix=name)

    async def run(self, context: func.Context, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it on a thread, whose log lines belong to this invocation."""

        def work() -> T:
            # https://learn.microsoft.com/azure/azure-functions/functions-reference-python#logging-from-created-threads
            storage: Any = context.thread_local_storage
            storage.invocation_id = context.invocation_id
            return call(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work)
