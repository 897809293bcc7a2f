"""Takes up again what a poison message was about, when a person has mended what made it one."""

from __future__ import annotations

from interfaces.errors import Conflict, NotFound
from interfaces.jobs import Changed
from interfaces.states import JobStatus
from repositories.recovery import RecoveryRepository

from .relay import Relay
from .submission import Submission

RETRIED = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.COMPLETED_WITH_ERRORS)


class Replay:
    """The message itself is gone, and only a hint: what it named is looked up as it is now."""

    def __init__(self, recovery: RecoveryRepository, submission: Submission, relay: Relay) -> None:
        self._recovery = recovery
        self._submission = submission
        self._relay = relay

    def replay(self, poison_id: int, *, correlation_id: str) -> Changed:
        """Send the message again whose work still waits, or retry the job that ended by it.

        Raises `NotFound` where no message of this number is recorded, and `Conflict` where there is nothing
        to take up: the message names no job, or one that is gone, has completed, or is past that stage.
        """
        named = self._recovery.named_by_poison(poison_id)
        if named is None:
            raise NotFound(f"no poison message has the number {poison_id}")
        if named.job_id is None:
            raise Conflict("the message names no job: there is nothing to take up again")
        if named.status is None or named.current_run is None or named.current_stage is None:
            raise Conflict("the job that the message names is not there any more")
        run, stage = named.run or named.current_run, named.stage or named.current_stage
        if run < named.current_run:
            raise Conflict(f"the message is of run {run}; the job is at run {named.current_run}")
        status = JobStatus(named.status)
        if status in RETRIED:
            return self._submission.retry(named.job_id, correlation_id=correlation_id)
        if not self._recovery.replay(poison_id, named.job_id, run, stage, named.first, named.last):
            place = f"is {status} at stage {named.current_stage}"
            raise Conflict(f"the message is of stage {stage}, and the job {place}: nothing of it waits")
        self._relay.drain(named.job_id)
        return Changed(job_id=named.job_id, changed=True, run=run, stage=stage, status=status)
