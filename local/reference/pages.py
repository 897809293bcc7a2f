"""Which page is made of what."""

from __future__ import annotations

from local.stack.paths import Paths

from . import errors, job_types, messages, settings
from .commands import not_run

FOLDER = "docs/reference"
TABLES = "tables.md"


def of_the_code() -> dict[str, str]:
    """The pages that need no database, by the names of their files."""
    # Imported here: it makes the whole app, although it asks nothing of anybody.
    import function_app

    tasks = {stage.task_type for job in function_app.job_types.all() for stage in job.stages}
    return {
        "settings.md": settings.document(),
        "job-types.md": job_types.document(
            list(function_app.job_types.all()), [function_app.task_types.get(name) for name in sorted(tasks)]
        ),
        "errors.md": errors.document(),
        "messages.md": messages.document(),
        "commands-not-run.md": not_run(Paths().root),
    }
