"""Web applications of libraries (ASGI) beside the app: a thread, its calls and its connections (ADR 12).

Importing this loads no such application and no web framework.
"""

from .thread import ApplicationThread

__all__ = ["ApplicationThread"]
