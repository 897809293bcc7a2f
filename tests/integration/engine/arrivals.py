"""Hands single messages to an engine, and looks at what was recorded of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from engine import Arrival
from tests.fix_engine import World


def arrive(
    world: World, queue: str, body: bytes | str, *, message_id: str = "", dequeue_count: int = 1
) -> str:
    """Hand a body to the engine as the host does; answers the message's id."""
    target = world.engine
    process = {
        world.settings.jobs_queue: target.process_job_message,
        world.settings.tasks_queue: target.process_task_message,
    }.get(queue, target.process_poison_message)
    message_id = message_id or str(uuid4())
    body = body.encode() if isinstance(body, str) else body
    process(Arrival(queue=queue, message_id=message_id, dequeue_count=dequeue_count, body=body))
    return message_id


def records(world: World, message_id: str) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM app.poison_messages WHERE message_id = %s", message_id)
