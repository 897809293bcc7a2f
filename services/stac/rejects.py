"""Items that were rejected: all are counted, and as many are named as fit into a task's row."""

from __future__ import annotations

from interfaces.registrations import LONGEST_REASON, MAX_REJECTS, Reject

MAX_BYTES = 256 * 1024
"""Of all that are named, as JSON: a result that is kept outside of its row is not seen by the job's own."""


class Rejects:
    """Counts rejected items, and keeps the first."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[Reject] = []
        self._bytes = 0

    def add(
        self, file: str, place: str, identifier: object, path: str, reason: str, schema: str | None = None
    ) -> None:
        """One more. Long texts are cut."""
        self.count += 1
        if len(self.named) == MAX_REJECTS or self._bytes > MAX_BYTES:
            return
        reject = Reject(
            file=file,
            place=place,
            id=identifier[:LONGEST_REASON] if isinstance(identifier, str) else None,
            path=path[:LONGEST_REASON],
            reason=reason[:LONGEST_REASON],
            schema_url=schema[:LONGEST_REASON] if schema else None,
        )
        self._bytes += len(reject.model_dump_json())
        self.named.append(reject)
