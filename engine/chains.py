"""Chains: a job that is submitted when a run has ended, with results of it (docs/schedules.md).

What follows is kept beside the run, made due by the transaction that ends it, and submitted in the
transaction that notes so: once for each run, whoever dies in between.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from interfaces.errors import ServiceUnavailable
from interfaces.follow_ups import DueFollower, Then
from interfaces.jobs import NewJob
from interfaces.templates import filled
from repositories.follow_ups import FollowerRepository

from .redaction import describe, trace
from .relay import Relay
from .submission import Submission, link

logger = logging.getLogger(__name__)

PAGE = 10
"""Followers that are in memory at once; each may bring a request, parameters and a result of 1 MiB."""
SECONDS = 20.0
"""How long one firing of the timer goes on; what is left is submitted at the next."""


class Chains:
    """Submits what follows. Safe to run in any number of processes."""

    def __init__(self, repository: FollowerRepository, submission: Submission, relay: Relay) -> None:
        self._repository = repository
        self._submission = submission
        self._relay = relay

    def follow(self) -> int:
        """Submit what follows runs that have ended; answers how many followers were settled."""
        total, end = 0, time.monotonic() + SECONDS
        while True:
            page = list(self._repository.due(PAGE))
            settled = sum(map(self._settle, page))
            total += settled
            # What another process settles first is not there at the next look.
            if len(page) < PAGE or not settled or time.monotonic() > end:
                return total

    def _settle(self, due: DueFollower) -> bool:
        if due.status is None:
            if due.is_live:
                return self._repository.settle(due, "waiting", None)
            return self._repository.settle(due, "failed", "the run that it follows was removed")
        try:
            then = Then.model_validate(due.request)
            if due.status not in then.when:
                wanted = " or ".join(then.when)
                return self._repository.settle(due, "skipped", f"the run is {due.status}, not {wanted}")
            job = self._job(due, then)
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises is that follower's failure, and no other's
            logger.error("job %s run %d: not followed: %s", due.job_id, due.run, trace(error))
            return self._repository.settle(due, "failed", describe(error))
        submitted = self._repository.submit(due, job)
        if submitted is None:
            return False
        if submitted.created:
            self._relay.drain(submitted.job_id)
        return True

    def _job(self, due: DueFollower, then: Then) -> NewJob:
        parameters = filled(then.parameters, due.document(), "then.parameters")
        return replace(
            self._submission.prepare(then.job_type, parameters, "then.parameters"),
            correlation_id=due.correlation_id or "",
            rerun=then.rerun,
            callback=self._submission.callback(then, "then"),
            then=link(then.then, due.depth + 1) if then.then else None,
        )
