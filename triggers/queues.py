"""Queue triggers: what the host delivers becomes an `Arrival`, and the engine decides."""

from __future__ import annotations

from collections.abc import Callable

import azure.functions as func

from engine import Arrival, Engine, waking
from interfaces.settings import Settings

from .outputs import CONNECTION, wake, with_outputs
from .threads import MESSAGES_AT_ONCE, Threads


def build(engine: Engine, settings: Settings) -> func.Blueprint:
    """The triggers of both queues and of their poison queues.

    Handlers block, and so does planning: each queue's messages are processed on threads of its own.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    def on_queue(name: str, queue: str, process: Callable[[Arrival], None]) -> None:
        threads = Threads(name, MESSAGES_AT_ONCE)

        async def receive(
            message: func.QueueMessage, jobs: func.Out[str], tasks: func.Out[str], context: func.Context
        ) -> None:
            arrival = Arrival(
                queue=queue,
                message_id=message.id or "",
                dequeue_count=message.dequeue_count or 0,
                body=message.get_body(),
            )
            with waking() as wakes:
                await threads.run(context, process, arrival)
            wake(wakes, jobs, tasks)

        receive.__name__ = name
        trigger = blueprint.queue_trigger(arg_name="message", queue_name=queue, connection=CONNECTION)
        with_outputs(blueprint, settings, trigger(blueprint.function_name(name)(receive)))

    on_queue("process_job_message", settings.jobs_queue, engine.process_job_message)
    on_queue("process_task_message", settings.tasks_queue, engine.process_task_message)
    on_queue("process_job_poison", f"{settings.jobs_queue}-poison", engine.process_poison_message)
    on_queue("process_task_poison", f"{settings.tasks_queue}-poison", engine.process_poison_message)
    return blueprint
