"""`python -m cli`."""

from cli import callbacks, schedules  # noqa: F401 - they add their commands
from cli.commands import main

main(prog_name="python -m cli")
