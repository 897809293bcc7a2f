"""Functions of different kinds do not wait for each other's threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import iscoroutinefunction
from threading import Barrier, Event
from typing import Any
from unittest.mock import MagicMock

import azure.functions as func
import pytest

from engine import Engine
from engine.callbacks import Callbacks
from engine.history import History
from engine.retention import Retention
from interfaces.settings import Settings
from local.functions_host.host_json import load_host_json
from local.functions_host.invocation_context import InvocationContext
from tests.unit.test_registration import HOST_JSON
from tests.unit.triggers.http_client import Output
from triggers import http, queues, timers
from triggers.threads import MESSAGES_AT_ONCE, Threads


def an_engine() -> Any:
    """Notes what it is called for."""
    parts = {
        "retention": MagicMock(Retention),
        "callbacks": MagicMock(Callbacks),
        "history": MagicMock(History),
    }
    return MagicMock(Engine, **parts)


def functions(engine: Engine) -> dict[str, Callable[..., Any]]:
    """Every function of the app, by name."""
    app = func.FunctionApp()
    app.register_functions(queues.build(engine, Settings()))
    app.register_functions(timers.build(engine))
    app.register_functions(http.build(MagicMock(settings=Settings())))
    return {str(f.get_function_name()): f.get_user_function() for f in app.get_functions()}


async def deliver(function: Callable[..., Any]) -> None:
    """One message, as the host hands it over."""
    await function(
        message=func.QueueMessage(id="1", body=b"{}"),
        jobs=Output(),
        tasks=Output(),
        context=InvocationContext("one", "receive", ""),
    )


def test_no_function_runs_on_the_threads_of_the_worker() -> None:
    """They are one pool for all functions: some would wait for others that hold it."""
    found = functions(an_engine())
    assert {"process_task_message", "reconcile", "jobs_submit"} <= set(found)
    assert [name for name, function in found.items() if not iscoroutinefunction(function)] == []


def test_a_message_that_the_host_delivers_finds_a_thread() -> None:
    """One that waited for a thread would use up its function's timeout, and that kills the process."""
    options = load_host_json(HOST_JSON).queues
    assert options.batch_size + options.new_batch_threshold <= MESSAGES_AT_ONCE


def test_long_handlers_keep_no_other_function_waiting() -> None:
    engine, over, at_once = an_engine(), Event(), 8
    handlers = Barrier(at_once + 1)

    def handle(arrival: object) -> None:
        handlers.wait(10)
        over.wait(10)

    engine.process_task_message.side_effect = handle
    found = functions(engine)

    async def scene() -> None:
        tasks = [asyncio.create_task(deliver(found["process_task_message"])) for _ in range(at_once)]
        await asyncio.to_thread(handlers.wait, 10)
        context = InvocationContext("two", "tick", "")
        for name in ("process_job_message", "process_job_poison", "process_task_poison"):
            await deliver(found[name])
        for name in (
            "relay_outbox",
            "reconcile",
            "follow_up",
            "deliver_callbacks",
            "sample_history",
            "retention",
        ):
            await found[name](timer=MagicMock(func.TimerRequest), context=context)
        request = func.HttpRequest(method="GET", url="http://127.0.0.1/api/livez", body=b"")
        assert (await found["livez"](req=request, context=context)).status_code == 200
        assert not any(task.done() for task in tasks)
        over.set()
        await asyncio.gather(*tasks)

    asyncio.run(scene())
    engine.process_job_message.assert_called_once()
    engine.relay.assert_called_once_with()
    engine.reconcile.assert_called_once_with()


def test_what_a_thread_logs_belongs_to_the_invocation() -> None:
    context = InvocationContext("the invocation", "work", "")

    def work() -> object:
        return context.thread_local_storage.invocation_id

    assert asyncio.run(Threads("test", 1).run(context, work)) == "the invocation"


def test_what_a_thread_raises_fails_the_function() -> None:
    engine = an_engine()
    engine.process_task_message.side_effect = RuntimeError("the database is away")
    with pytest.raises(RuntimeError, match="the database is away"):
        asyncio.run(deliver(functions(engine)["process_task_message"]))
