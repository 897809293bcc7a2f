"""Who calls, and what for: roles, callers, and the caller of the work at hand (docs/access.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Kind = Literal["user", "app", "key", "anonymous"]
"""`app`: a program with an identity of its own; `key`: whoever holds one of the host's keys."""

MAX_NAME_CHARACTERS = 200


class Role(IntEnum):
    """What a caller may do. Each role may do what those before it may."""

    ANYONE = 0
    """No identity and no key is asked for."""
    READER = 1
    SUBMITTER = 2
    OPERATOR = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The value of the app role in Entra ID, and how answers call it."""
        return self.name.lower()

    @classmethod
    def highest(cls, labels: Iterable[object]) -> Role:
        """The highest role among these values of app roles; others than ours say nothing."""
        known: dict[object, Role] = {role.label: role for role in cls if role is not cls.ANYONE}
        found = (known.get(label) for label in labels if isinstance(label, str))
        return max((role for role in found if role is not None), default=cls.ANYONE)


@dataclass(frozen=True)
class Principal:
    """Who calls. Holds nothing that lets anybody call: neither key nor token."""

    kind: Kind
    name: str
    role: Role
    object_id: str | None = None
    """Of the user or the service principal in Entra ID, which never changes, as names do."""
    by_session: bool = False
    """Known by a cookie, which browsers send along whoever made them ask."""

    def may(self, role: Role) -> bool:
        """Whether they have this role. Where whoever has none got past the gate, nobody is asked for any:
        as on a developer's machine."""
        return self.kind == "anonymous" or self.role >= role

    def needs(self, role: Role) -> str:
        """How a refusal says so."""
        has = self.role.label if self.role else "none"
        return f"this needs the role {role.label}; {self.name[:100]} has {has}"


@dataclass(frozen=True)
class Caller:
    """Who asked for what is being done, and in which request."""

    principal: Principal
    correlation_id: str

    def document(self) -> dict[str, str]:
        """As it is written down: no field is longer than 200 characters."""
        found = {
            "kind": self.principal.kind,
            "name": self.principal.name[:MAX_NAME_CHARACTERS],
            "correlation_id": self.correlation_id,
        }
        if self.principal.object_id is not None:
            found["id"] = self.principal.object_id[:MAX_NAME_CHARACTERS]
        return found


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller | None:
    """Who asked for the work at hand; None: the app does it by itself, as timers and messages do."""
    return _caller.get()


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """The block does what this caller asked for."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)
