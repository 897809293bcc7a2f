"""Queue output bindings, through which a function wakes the listeners of its own host."""

from __future__ import annotations

from typing import Any

import azure.functions as func

from engine.waking import Wakes
from interfaces.settings import Settings

CONNECTION = "AzureWebJobsStorage"


def with_outputs(blueprint: func.Blueprint, settings: Settings, function: Any) -> Any:
    """The function with the bindings `jobs` and `tasks`, which it takes as arguments."""
    for name, queue in (("jobs", settings.jobs_queue), ("tasks", settings.tasks_queue)):
        output = blueprint.queue_output(arg_name=name, queue_name=queue, connection=CONNECTION)
        function = output(function)
    return function


def wake(wakes: Wakes, jobs: func.Out[str], tasks: func.Out[str]) -> None:
    """Hand what is to be repeated to the bindings."""
    if wakes.jobs is not None:
        jobs.set(wakes.jobs)
    if wakes.tasks is not None:
        tasks.set(wakes.tasks)
