"""Job types and task types, from what is registered and from the models of their parameters."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from interfaces.access import Role
from interfaces.workflows import JobController, TaskDefinition

from .markdown import code, table

HEAD = """# Job types

What can be submitted, with every parameter: made of the models by which submissions are validated. `GET
/api/jobs/types` has the same as JSON Schema. An unknown parameter is refused, and types are not converted:
`"5"` is no number.
"""
TASKS = """## Task types

How each kind of task is run. A [message](messages.md) carries at most so many tasks as `batch` says; `side
by side` are those that wait for the network.
"""


def document(jobs: list[JobController[Any]], tasks: list[TaskDefinition[Any]]) -> str:
    """The page."""
    sections = [HEAD, *(_job_type(job) for job in jobs), _task_types(tasks)]
    return "\n".join(sections)


def _job_type(job: JobController[Any]) -> str:
    schema = job.parameters_model.model_json_schema()
    stages = [
        (str(number), code(stage.key), code(stage.task_type), code(stage.on_failure))
        for number, stage in enumerate(job.stages, 1)
    ]
    parts = [
        f"## {job.job_type}\n",
        f"{job.description}\n",
        _needed(job.parameters_model.needed_role),
        table(("parameter", "type", "default", ""), _parameters(schema)) + "\n",
        "\n".join(_nested(schema)),
        table(("stage", "key", "task type", "when a task fails"), stages) + "\n",
    ]
    if examples := schema.get("examples"):
        parts.append(f"```json\n{json.dumps(examples[0], ensure_ascii=False)}\n```\n")
    return "\n".join(part for part in parts if part)


def _needed(role: Role) -> str:
    return "" if role is Role.SUBMITTER else f"Needs the role `{role.label}`.\n"


def _nested(schema: dict[str, Any]) -> list[str]:
    """The models that parameters are made of, each as a table of its own."""
    definitions = schema.get("$defs", {})
    found = []
    for name, model in sorted(definitions.items()):
        if model.get("properties"):
            fields = table(("field", "type", "default", ""), _fields(model, definitions))
            found.append(f"`{name}`: {_first_sentence(model)}\n\n{fields}\n")
    return found


def _parameters(schema: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return _fields(schema, schema.get("$defs", {}))


def _fields(model: dict[str, Any], definitions: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    required = set(model.get("required", ()))
    return [
        (code(name), _type(field, definitions), _default(field, name in required), _description(field))
        for name, field in model.get("properties", {}).items()
    ]


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return _type(definitions[name], definitions) if "enum" in definitions[name] else code(name)
    if "const" in field:
        return code(json.dumps(field["const"], ensure_ascii=False))
    if "enum" in field:
        return " ".join(code(str(value)) for value in field["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            return " or ".join(dict.fromkeys(_type(option, definitions) for option in field[several]))
    kind = str(field.get("type", "anything"))
    if kind == "array":
        items = f" of {_type(field['items'], definitions)}" if field.get("items") else ""
        return f"list{items}{_lengths(field, 'minItems', 'maxItems', ' ({} entries)')}"
    kind = str(field.get("format", kind)).replace("string", "text")
    return f"{kind}{_lengths(field, 'minLength', 'maxLength', ' of {} characters')}{_bounds(field)}"


def _bounds(field: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {field[name]:,}" for name, sign in signs.items() if name in field]
    pattern = f" {code(field['pattern'])}" if "pattern" in field else ""
    return (f" {', '.join(said)}" if said else "") + pattern


def _lengths(field: dict[str, Any], least: str, most: str, says: str) -> str:
    low, high = field.get(least, 0), field.get(most)
    if high is None:
        return says.format(f"at least {low:,}") if low else ""
    return says.format(f"{low:,}" if low == high else f"{low:,} to {high:,}")


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "**required**"
    if "default" not in field:
        return "–"
    text = json.dumps(field["default"], ensure_ascii=False)
    return "–" if text == "null" else code(text)


def _description(field: dict[str, Any]) -> str:
    if found := field.get("description"):
        return " ".join(str(found).split())
    inner = (option.get("description", "") for option in field.get("anyOf", ()))
    return " ".join(" ".join(text.split()) for text in inner if text)


def _first_sentence(model: dict[str, Any]) -> str:
    return re.split(r"\n\n", str(model.get("description", "")))[0].replace("\n", " ")


def _task_types(tasks: list[TaskDefinition[Any]]) -> str:
    rows = [
        (
            code(task.task_type),
            str(task.retry.max_attempts),
            f"{_seconds(task.retry.base_delay)} to {_seconds(task.retry.max_delay)}",
            _seconds(task.timeout),
            _seconds(task.expected_duration),
            str(task.max_batch) + (" side by side" if task.waits_for_io else ""),
        )
        for task in tasks
    ]
    head = ("task type", "attempts", "pause at most", "time limit", "expected", "batch")
    return f"{TASKS}\n{table(head, rows)}\n"


def _seconds(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds >= 60:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
