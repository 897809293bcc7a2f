"""`python -m cli`."""

from cli.commands import main

main(prog_name="python -m cli")
