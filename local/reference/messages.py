"""Messages of the queues, from their models."""

from __future__ import annotations

import json

from interfaces.queues import JobMessage, QueueMessage, TaskMessage

from .markdown import code, table

HEAD = """# Messages

What travels on the two storage queues: ids, and nothing else. A message is a hint to look at rows; what may
happen then is decided by the rows alone, so that it may be lost, repeated, late or out of order
([why](../explanation/rows-are-the-truth.md)). It is base64 of JSON, far below 4 KiB. Plain JSON is
understood too; fields that are unknown are ignored, so that releases can overlap.

Made of `interfaces/queues.py`.
"""
AFTER = """## What cannot be read

A message that is not UTF-8, not JSON, or lacks a field is recorded in `app.poison_messages` with the first
1,000 characters and the reason, fails the job or task that it names where that has not ended, and is
consumed. A message that can be read, but that the host gave up after five deliveries, comes to `…-poison`:
its work is woken again, and fails only when messages about it raised errors of its own four times
(docs/adr/0009). What to do: [OrchestratorPoison](../how-to/respond-to-alerts.md#orchestratorpoison).
"""
EXAMPLE = {"job_id": "4118…", "run": 1, "stage": 2, "correlation_id": "5d1f9c5e-…"}


def document() -> str:
    """The page."""
    parts = [
        HEAD,
        _message("geospatial-jobs", "JOBS_QUEUE", JobMessage, EXAMPLE),
        _message("geospatial-tasks", "TASKS_QUEUE", TaskMessage, {**EXAMPLE, "first": 0, "last": 31}),
        AFTER,
    ]
    return "\n".join(parts)


def _message(queue: str, setting: str, model: type[QueueMessage], example: dict[str, object]) -> str:
    says = " ".join((model.__doc__ or "").split())
    rows = [
        (
            code(name),
            _type(field),
            "required" if name in model.model_json_schema()["required"] else "optional",
        )
        for name, field in model.model_json_schema()["properties"].items()
    ]
    written = json.dumps(example, ensure_ascii=False)
    return (
        f"## {queue}\n\n{code(model.__name__)}, in the queue {code(setting)}. {says}\n\n"
        f"{table(('field', 'type', ''), rows)}\n\n```json\n{written}\n```\n"
    )


def _type(field: dict[str, object]) -> str:
    bounds = [f"{field[name]:,}" for name in ("minimum", "maximum") if isinstance(field.get(name), int)]
    if "pattern" in field:
        return f"text {code(str(field['pattern']))}"
    if "anyOf" in field:
        return "text, a W3C traceparent"
    return f"{field['type']} {' to '.join(bounds)}".strip().replace("string", "text, at most 128 characters")
