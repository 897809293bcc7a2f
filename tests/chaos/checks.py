"""What must hold after every fault, however long it lasted; and the report of what was done and found."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fix_app import App, until
from tests.fix_stack import CHECKOUT

REPORTS = CHECKOUT / ".local" / "chaos"

DRIFTED = """
SELECT p.job_id, p.run, p.stage, p.queued, p.processing, p.completed, p.failed, p.cancelled, n.*
FROM app.stage_progress p
JOIN app.jobs j USING (job_id, run)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE status = 'queued') AS is_queued,
           count(*) FILTER (WHERE status = 'processing') AS is_processing,
           count(*) FILTER (WHERE status = 'completed') AS is_completed,
           count(*) FILTER (WHERE status = 'failed') AS is_failed,
           count(*) FILTER (WHERE status = 'cancelled') AS is_cancelled
    FROM app.tasks t WHERE (t.job_id, t.run, t.stage) = (p.job_id, p.run, p.stage)
) n
WHERE (p.queued, p.processing, p.completed, p.failed, p.cancelled)
    IS DISTINCT FROM (n.is_queued, n.is_processing, n.is_completed, n.is_failed, n.is_cancelled)
"""
"""Stages whose counters differ from their rows."""

AUDIT = """
CREATE TABLE public.finals (job_id text, run integer, stage integer, task_index integer, status text);
CREATE FUNCTION public.note_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.finals VALUES (NEW.job_id, NEW.run, NEW.stage, NEW.task_index, NEW.status);
    RETURN NULL;
END $$;
CREATE TRIGGER note_final AFTER UPDATE ON app.tasks FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled')
          AND (OLD.status, OLD.result, OLD.error) IS DISTINCT FROM (NEW.status, NEW.result, NEW.error))
    EXECUTE FUNCTION public.note_final();
"""
"""Notes each time that a task's final outcome is written."""

DOUBLED = """
SELECT job_id, run, stage, task_index, count(*) AS times FROM public.finals
GROUP BY job_id, run, stage, task_index HAVING count(*) > 1
"""

WRONG_GREETINGS = """
SELECT t.job_id, t.stage, t.task_index, t.result
FROM app.tasks t JOIN app.jobs j USING (job_id, run)
WHERE j.job_type = 'hello_world' AND t.status = 'completed' AND (
    t.result ->> 'greeting' IS DISTINCT FROM format('%s, %s! (%s)', j.parameters ->> 'message',
                                                   j.parameters ->> 'name', t.result ->> 'number')
    OR (t.stage = 1 AND (t.result ->> 'number')::integer <> t.task_index + 1))
"""

LOST_REPLIES = """
SELECT j.job_id, j.status, n.greetings, n.replies
FROM app.jobs j
CROSS JOIN LATERAL (
    SELECT array_agg(t.result ->> 'number' ORDER BY t.task_index) FILTER (WHERE t.stage = 1) AS greetings,
           array_agg(t.result ->> 'number' ORDER BY t.task_index) FILTER (WHERE t.stage = 2) AS replies
    FROM app.tasks t WHERE t.job_id = j.job_id AND t.run = j.run AND t.status = 'completed'
) n
WHERE j.job_type = 'hello_world' AND j.status IN ('completed', 'completed_with_errors')
  AND (n.greetings IS DISTINCT FROM n.replies
       OR (j.status = 'completed' AND cardinality(n.greetings) <> (j.parameters ->> 'n')::integer))
"""
"""Finished jobs in which a greeting has no reply, or one that is out of its place."""


BARE = "500 of the host"
"""An answer without a body, which no function makes: the host could not write to a queue, at the end of a
function that could a moment before. The job is there; the same request again is the same job."""


@dataclass(frozen=True)
class Wish:
    """A job to be submitted, and the state in which it must end."""

    job_type: str
    parameters: dict[str, Any]
    state: str


def a_greeting(chance: random.Random, name: str) -> Wish:
    """A hello_world job of any shape."""
    parameters: dict[str, Any] = {"n": chance.choice((1, 10, 50, 300)), "name": name}
    if chance.random() < 0.4:
        parameters |= {"n": chance.choice((1, 5, 20)), "sleep_seconds": chance.choice((0.05, 0.3, 1.0))}
    if parameters["n"] >= 10 and chance.random() < 0.3:
        policy = chance.choice(("fail_job", "continue"))
        parameters |= {"fail_fraction": 0.1, "on_failure": policy}
        return Wish("hello_world", parameters, "failed" if policy == "fail_job" else "completed_with_errors")
    return Wish("hello_world", parameters, "completed")


@dataclass
class Load:
    """People who submit jobs, one after another, and expect each to end rightly."""

    app: App
    seed: int = 0
    people: int = 2
    pause_seconds: float = 0.2
    timeout_seconds: float = 60
    wish: Callable[[random.Random, str], Wish] = a_greeting
    expected: dict[str, str] = field(default_factory=dict)
    """The state in which each accepted job must end."""
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_answer: float = 0.0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Submit jobs until the block ends."""
        over = threading.Event()
        threads = [threading.Thread(target=self._submit_all, args=(over, i)) for i in range(self.people)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(2 * self.timeout_seconds)

    def _submit_all(self, over: threading.Event, person: int) -> None:
        chance = random.Random(f"{self.seed} {person}")
        number = 0
        with httpx.Client(base_url=f"{self.app.url}/api", timeout=self.timeout_seconds) as client:
            while not over.is_set():
                number += 1
                wish = self.wish(chance, f"{self.seed}-{person}-{number}")
                # A person whose request fails asks again: the same request is the same job.
                while not self._submit(client, wish) and not over.wait(0.5):
                    pass
                over.wait(self.pause_seconds)

    def _submit(self, client: httpx.Client, wish: Wish) -> bool:
        began = time.monotonic()
        try:
            answer = client.post(f"/jobs/submit/{wish.job_type}", json=wish.parameters)
        except httpx.TransportError as error:
            # The worker that had the request was killed.
            self.answers[type(error).__name__] += 1
            return False
        self.slowest_answer = max(self.slowest_answer, time.monotonic() - began)
        if answer.status_code == 500 and not answer.content:
            self.answers[BARE] += 1
            return False
        self.answers[str(answer.status_code)] += 1
        if answer.status_code in (200, 202):
            self.expected[answer.json()["job_id"]] = wish.state
            return True
        if answer.status_code != 503:
            self.wrong.append(f"{answer.status_code} {answer.text}")
        return False


def audit(app: App) -> None:
    """From now on every final outcome that is written is noted."""
    app.execute(AUDIT)


@dataclass(frozen=True)
class Findings:
    """The jobs by the state in which they ended, and what was found amiss."""

    states: Counter[str]
    lost: int
    doubled: int
    stuck: int


def check(app: App, expected: Mapping[str, str], seconds: float = 180) -> Findings:
    """Every job ends as it must, and everything else holds that always must; what was found."""
    until(app.ready, 60, app.tail)
    end = time.monotonic() + seconds
    ended = {job_id: app.wait(job_id, max(5, end - time.monotonic())) for job_id in expected}
    surprises = {
        job_id: (status["status"], expected[job_id], status["error"])
        for job_id, status in ended.items()
        if status["status"] != expected[job_id]
    }
    # In words: pytest does not explain the asserts of this module.
    assert surprises == {}, surprises
    stuck = app.rows("SELECT job_id, status FROM app.jobs WHERE completed_at IS NULL")
    doubled = app.rows(DOUBLED)
    lost = app.rows(LOST_REPLIES) + [{"job_id": job_id} for job_id in expected if not _exists(app, job_id)]
    assert (stuck, doubled, lost) == ([], [], []), (stuck, doubled, lost)
    assert app.rows(WRONG_GREETINGS) == []
    assert app.rows(DRIFTED) == []
    assert app.violations() == 0, app.get("/db/invariants").text
    states = Counter(status["status"] for status in ended.values())
    return Findings(states, len(lost), len(doubled), len(stuck))


def _exists(app: App, job_id: str) -> bool:
    return bool(app.rows("SELECT 1 FROM app.jobs WHERE job_id = %s", job_id))


def report(name: str, *, faults: Mapping[str, int], jobs: Findings, **figures: object) -> None:
    """Keep what was done and found, for the table of all faults."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    document = {
        "test": name,
        "faults": dict(faults),
        "trials": sum(faults.values()),
        "jobs": sum(jobs.states.values()),
        "states": dict(jobs.states),
        "lost": jobs.lost,
        "doubled": jobs.doubled,
        "stuck": jobs.stuck,
        **figures,
    }
    (REPORTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def every(seconds: Callable[[], float], for_seconds: float) -> Iterator[int]:
    """Numbers, each after so many seconds, until time is over."""
    end = time.monotonic() + for_seconds
    number = 0
    while time.monotonic() < end:
        time.sleep(seconds())
        number += 1
        yield number
