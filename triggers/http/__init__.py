"""The HTTP API (docs/api.md): translates requests into calls, and answers and errors into responses."""

from .blueprint import build
from .dependencies import HttpDependencies

__all__ = ["HttpDependencies", "build"]
