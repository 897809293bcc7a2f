"""What can go wrong while the local stack is set up; each message says what to do about it."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot be set up or started; the message is for the person at the terminal."""


class Missing(StackError):
    """Something is not installed and could not be; names the command that gets it."""

    def __init__(self, what: str, command: str, reason: str = "") -> None:
        because = f"\n{reason.strip()}" if reason.strip() else ""
        super().__init__(f"{what} is missing. This gets it:\n\n    {command}\n{because}")
        self.command = command
