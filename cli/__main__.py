"""`python -m cli`."""

from cli import schedules  # noqa: F401 - adds its commands
from cli.commands import main

main(prog_name="python -m cli")
