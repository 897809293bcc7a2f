"""Identities of Entra ID: bearer tokens, and what the platform's own authentication says (docs/access.md)."""

from .service import EntraIdentities

__all__ = ["EntraIdentities"]
