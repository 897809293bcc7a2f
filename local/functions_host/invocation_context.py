"""The `context` argument of a function."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from azure.functions import Context

# One for the process, as in the Python worker: a user's own thread sets `invocation_id` on it so that its
# log lines belong to the invocation.
_thread_local_storage = threading.local()


@dataclass(frozen=True)
class TraceContext:
    """W3C trace context of one invocation."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    # The names that the worker's own class uses.
    @property
    def Traceparent(self) -> str:  # noqa: N802
        """The same as `trace_parent`."""
        return self.trace_parent

    @property
    def Tracestate(self) -> str:  # noqa: N802
        """The same as `trace_state`."""
        return self.trace_state


@dataclass(frozen=True)
class RetryContext:
    """Retry policies are not applied by this host: always the first try."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


class InvocationContext(Context):
    """What a function learns about its invocation.

    https://learn.microsoft.com/azure/azure-functions/functions-reference-python#context
    """

    def __init__(self, invocation_id: str, function_name: str, function_directory: str) -> None:
        self._invocation_id = invocation_id
        self._function_name = function_name
        self._function_directory = function_directory
        trace_parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        self._trace_context = TraceContext(trace_parent)

    @property
    def invocation_id(self) -> str:
        """The id of this invocation."""
        return self._invocation_id

    @property
    def thread_local_storage(self) -> threading.local:  # type: ignore[override]
        """Where a thread of the function's own says to which invocation it belongs."""
        return _thread_local_storage

    @property
    def function_name(self) -> str:
        """The name of the function."""
        return self._function_name

    @property
    def function_directory(self) -> str:
        """The folder of the function app."""
        return self._function_directory

    @property
    def trace_context(self) -> TraceContext:  # type: ignore[override]
        """The trace that this invocation belongs to."""
        return self._trace_context

    @property
    def retry_context(self) -> RetryContext:  # type: ignore[override]
        """How often this invocation was tried."""
        return RetryContext()
