"""Errors of the local host.

HostError
├── HostConfigurationError     host.json, a route, a schedule or an app setting is not valid
├── FunctionAppError           the function app cannot be loaded or uses what this host does not support
├── MessageNotDecodable        a queue message is not in the configured encoding
└── WorkerProcessExited        an invocation ended because its worker process had to end
"""

from __future__ import annotations


class HostError(Exception):
    """Base of the errors that this host raises."""


class HostConfigurationError(HostError):
    """host.json, a route template, a schedule or an app setting is not valid."""


class FunctionAppError(HostError):
    """The function app cannot be loaded, or uses a trigger or binding that this host does not support."""


class MessageNotDecodable(HostError):
    """A queue message is not in the encoding that host.json names."""


class WorkerProcessExited(HostError):
    """The invocation ended because its worker process had to end."""
