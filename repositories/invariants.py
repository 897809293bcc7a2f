"""The invariants of the design, section 5: views that must be empty, and how they are read."""

from __future__ import annotations

from psycopg import sql

from interfaces.errors import NotFound
from interfaces.queues import QueueRepository
from interfaces.settings import Settings

from .connection import Connection
from .database import Database
from .keyset import Document
from .sql_files import queries

SHOWN_ROWS = 100
PEEKED_MESSAGES = 32
"""As many as the queue service shows at once."""
UNSEEN = f"more than the {PEEKED_MESSAGES} that the queue service shows"
"""Stands for the message ids of the others: nobody can tell whether rows explain them."""

INVARIANTS = {
    "invariant_1_stalled_job": (
        "a live job whose current stage has no unfinished task, and no dispatch on its way, for more than 5 s"
    ),
    "invariant_2_unfinished_task_of_terminal_job": "a terminal job with a task that is not terminal",
    "invariant_3_ended_lease": "a task in work whose lease ended more than one reconcile period ago",
    "invariant_4_undispatched_task": (
        "a queued and due task with no dispatch pending, nor sent within the redelivery period"
    ),
    "invariant_5_task_count": "a stage whose number of tasks differs from what was planned",
    "invariant_6_missing_outcome": "a completed task without a result, or a failed task without an error",
    "invariant_7_task_of_later_stage": "a job at one stage with a task of a later stage",
    "invariant_8_unexplained_poison": "a message in a poison queue with no row that explains it",
    "invariant_9_untold_end": "a run that ended, with a subscriber to whom that is not to be told",
    "invariant_10_neglected_callback": (
        "a callback that has been due for an hour, to a host to which none that wait were sent lately"
    ),
    "invariant_11_overdue_schedule": "a schedule whose tick came five minutes ago, and was not fired",
    "invariant_12_forgotten_follower": "what was to follow a run that ended five minutes ago, and did not",
}
"""Each view in `sql/views/invariants.sql`, and what a row of it is."""


class Invariants:
    """Reads the views, after a look into the poison queues, which the last of them compares with."""

    def __init__(self, database: Database, queues: QueueRepository, settings: Settings) -> None:
        self._database = database
        self._queues = queues
        self._poison_queues = [f"{settings.jobs_queue}-poison", f"{settings.tasks_queue}-poison"]
        self._sql = queries("invariants")

    def violations(self) -> Document:
        """Every invariant with its exact number of violations and the first 100 of them.

        Raises `ServiceUnavailable` when the database or the queues cannot be reached.
        """
        seen = {queue: self._peek(queue) for queue in self._poison_queues}
        with self._database.long_connection() as connection:
            for queue, message_ids in seen.items():
                self._note(connection, queue, message_ids)
            found = [self._read(connection, name) for name in INVARIANTS]
        return {"total_violations": sum(count for count, _ in found), "invariants": [d for _, d in found]}

    def counts(self) -> dict[str, int]:
        """The number of violations of each invariant, without a new look into the poison queues."""
        with self._database.long_connection() as connection:
            return {name: self._read(connection, name)[0] for name in INVARIANTS}

    def _read(self, connection: Connection, name: str) -> tuple[int, Document]:
        query = sql.SQL(self._sql["violations"]).format(view=sql.Identifier("app", name))
        row = connection.execute(query, {"limit": SHOWN_ROWS}).fetchone()
        assert row is not None
        count = int(row["count"])
        return count, {"name": name, "description": INVARIANTS[name], "count": count, "rows": row["rows"]}

    def _note(self, connection: Connection, queue: str, message_ids: list[str]) -> None:
        parameters = {"queue": queue, "message_ids": message_ids}
        connection.execute(self._sql["forget_sightings"], parameters)
        connection.execute(self._sql["note_sightings"], parameters)

    def _peek(self, queue: str) -> list[str]:
        try:
            seen = [message.message_id for message in self._queues.peek(queue, PEEKED_MESSAGES)]
            if len(seen) >= PEEKED_MESSAGES and self._queues.length(queue) > len(seen):
                seen.append(UNSEEN)
            return seen
        except NotFound:
            return []  # the host makes a poison queue with its first message
