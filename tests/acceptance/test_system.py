"""The running system, seen over HTTP: what issue-readers are promised."""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fix_app import App

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("n", [1, 30, 1000, 10_000])
def test_hello_world_completes_and_each_reply_quotes_its_greeting(app: App, n: int) -> None:
    job_id = app.submit("hello_world", n=n, name=f"size {n}")
    status = app.wait(job_id)
    assert status["status"] == "completed"
    assert status["progress"]["completed"] == 2 * n
    greetings = app.results(job_id, stage=1)
    replies = app.results(job_id, stage=2)
    assert len(greetings) == len(replies) == n
    for greeting, reply in zip(greetings, replies, strict=True):
        assert reply["result"]["greeting"] == greeting["result"]["greeting"]
        assert greeting["result"]["greeting"] in reply["result"]["reply"]
    assert app.violations() == 0


def test_a_hundred_concurrent_equal_submissions_make_one_job_and_one_run(app: App) -> None:
    def submit(i: int) -> dict[str, Any]:
        body = json.dumps({"n": 5, "name": "same"} if i % 2 else {"name": "same", "message": "Hello", "n": 5})
        answer = app.http.post("/jobs/submit/hello_world", content=body)
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(submit, range(100)))
    assert len({answer["job_id"] for answer in answers}) == 1
    assert Counter(answer["created"] for answer in answers) == {True: 1, False: 99}
    assert app.wait(answers[0]["job_id"])["run"] == 1


@pytest.mark.parametrize("stage", [1, pytest.param(2, marks=pytest.mark.chaos)])
def test_a_worker_killed_in_the_middle_of_a_stage_is_survived(app: App, stage: int) -> None:
    job_id = app.submit("hello_world", n=120, sleep_seconds=0.2, name=f"killed in stage {stage}")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        status = app.get(f"/jobs/status/{job_id}").json()
        current = {s["stage"]: s["progress"] for s in status["stages"]}.get(stage, {})
        if current.get("completed", 0) > 10:
            break
        time.sleep(0.1)
    assert status["status"] == "processing", status
    killed = app.kill_worker()
    status = app.wait(job_id)
    assert status["status"] == "completed"
    assert status["progress"]["completed"] == 240
    replies = app.results(job_id, stage=2)
    assert [reply["result"]["number"] for reply in replies] == list(range(1, 121))
    assert app.violations() == 0
    assert killed not in app.workers()
    assert len(app.workers()) == 2


def test_malformed_messages_are_recorded_and_block_nothing(app: App) -> None:
    before = app.get("/monitor/poison").json()["total"]
    named = app.submit("hello_world", n=300, sleep_seconds=1, name="named by a bad message")
    bodies = ["", "{", "[]", "null", "7", '"x"', "\ufeff{}", "[" * 5000, '{"job_id": 1}', "x" * 40_000]
    bodies += [json.dumps({"job_id": named, "run": "one", "stage": 1})]
    undecodable = ["not base64!", "{}", base64.b64encode(b"\xff\xfe").decode(), "====", "ünï", named]
    for queue in (app.jobs_queue, app.tasks_queue):
        for body in bodies:
            app.put(queue, body)
        for text in undecodable:
            app.put(queue, text, raw=True)
    other = app.submit("hello_world", n=10, name="behind bad messages")
    assert app.wait(other)["status"] == "completed"
    end = time.monotonic() + 60
    while app.get("/monitor/poison").json()["total"] < before + 2 * len(bodies + undecodable):
        assert time.monotonic() < end, app.get("/monitor/poison").text
        time.sleep(0.5)
    status = app.wait(named)
    assert status["status"] == "failed"
    assert "a message about it cannot be processed: " in status["error"]
    assert app.violations() == 0


def test_the_same_message_many_times_over_and_out_of_order_changes_nothing(app: App) -> None:
    job_id = app.submit("hello_world", n=20, sleep_seconds=0.1, name="repeated")
    messages = [{"job_id": job_id, "run": 1, "stage": stage} for stage in (1, 2, 3)]
    batches = [{**m, "first": i, "last": j} for m in messages for i, j in ((0, 0), (5, 9), (0, 19), (19, 40))]
    several = [(app.jobs_queue, m) for m in messages * 5] + [(app.tasks_queue, m) for m in batches * 5]
    random.Random(3).shuffle(several)
    for queue, message in several:
        app.put(queue, json.dumps(message))
    assert app.wait(job_id)["status"] == "completed"
    tasks = app.rows("SELECT attempt, status FROM app.tasks WHERE job_id = %s", job_id)
    assert Counter((task["attempt"], task["status"]) for task in tasks) == {(1, "completed"): 40}
    assert app.violations() == 0


def test_cancel_retry_and_rerun_over_http(app: App) -> None:
    job_id = app.submit("hello_world", n=200, sleep_seconds=1, name="cancelled")
    answer = app.http.post(f"/jobs/{job_id}/cancel")
    assert answer.status_code in (200, 202), answer.text
    assert app.wait(job_id)["status"] == "cancelled"
    failing = app.submit("hello_world", n=10, fail_fraction=0.3, on_failure="continue", name="partly")
    assert app.wait(failing)["status"] == "completed_with_errors"
    answer = app.http.post(f"/jobs/{failing}/retry")
    assert answer.status_code == 202, answer.text
    assert app.wait(failing)["status"] == "completed_with_errors"
    done = app.submit("hello_world", n=2, name="again")
    app.wait(done)
    answer = app.http.post(f"/jobs/{done}/rerun")
    assert (answer.status_code, answer.json()["run"]) == (202, 2)
    assert app.wait(done)["run"] == 2
    assert app.violations() == 0


def test_an_unknown_container_fails_the_job_and_names_it(app: App) -> None:
    status = app.wait(app.submit("list_container", container="no-such-container"))
    assert status["status"] == "failed"
    assert "no-such-container" in status["error"]


def test_the_log_holds_no_secret(app: App) -> None:
    key = dict(part.split("=", 1) for part in app.storage.split(";") if "=" in part)["AccountKey"]
    assert key not in app.log.read_text(errors="replace")
