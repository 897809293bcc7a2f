"""Secrets stay where they are kept: a full run, with failures, is grepped for every one of them.

Those of the app's own are nowhere at all. Those that somebody puts into a job's parameters are in the
parameters, where they were put, and nowhere else: not in an error, an event, a log line or a metric.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.doubles.collector import Collector, collecting
from tests.doubles.listener import Listener
from tests.fix_app import App, MakeApp, until

KEYS = {"function": "function-key-9f31c2aa77", "admin": "admin-key-51d0be6e04"}
SIGNING = base64.b64encode(b"callback-signing-key-of-32-bytes").decode()
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq"
"""The beginning of the emulator's."""
OWN = {
    **KEYS,
    "account key": ACCOUNT_KEY,
    "callback secret": SIGNING,
    "OTLP header": "otlp-header-secret-20aa",
}
SENT = {"bearer token": "bearer-token-3d1f5b", "wrong key": "wrong-key-in-the-url-88"}
"""What callers send along, rightly or not."""
GIVEN = {
    "SAS": "c2FzLXNpZ25hdHVyZS1vZi1zb21lYm9keQ==",
    "account key in a name": "a2V5LW9mLWFub3RoZXItYWNjb3VudA==",
    "password in a name": "password-of-another-database-2b",
    "callback token": "token-of-the-receiver-6d",
    "message": "secret-in-a-queue-message-41",
}
"""What somebody puts into parameters, addresses and messages."""


class Run:
    """An app that has its secrets, and everything that it said while it worked."""

    def __init__(self, app: App, collector: Collector, receiver: Listener) -> None:
        self.app, self.collector, self.receiver = app, collector, receiver
        self.own = OWN | {"database password": str(urlsplit(app.database_url).password)}
        assert len(self.own["database password"]) > 8
        app.http.headers["x-functions-key"] = KEYS["function"]
        self.answers: list[str] = []

    def work(self) -> list[str]:
        """Jobs that succeed, jobs that fail, and requests that are refused; the ids of the jobs."""
        sas = f"https://acme.blob.core.windows.net/c/a.tif?sv=2022-11-02&se=2030&sig={GIVEN['SAS']}"
        account = f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={GIVEN['account key in a name']}"
        database = f"postgresql://app:{GIVEN['password in a name']}@db.example.org/app"
        callback = {"callback_url": self.receiver.url(f"hook?sig={GIVEN['callback token']}")}
        jobs = [
            self.app.submit("hello_world", n=2),
            self.app.submit("list_container", container="missing", prefix=sas),
            self.app.submit("validate_raster", container="missing", blob=sas.replace("//", "/")),
            self.app.submit("validate_vector", container="missing", blob=f"{account}.gpkg"),
            self.app.submit("vector_to_postgis", container="missing", blob=database.replace("//", "/")),
            self.app.submit("raster_to_cog", container="job-none", prefix=account, target_container="none"),
        ]
        told = self.app.http.post("/jobs/submit/hello_world", json={"n": 3}, params=callback)
        assert told.status_code == 202, told.text
        jobs.append(told.json()["job_id"])
        self.app.put(self.app.tasks_queue, json.dumps({"password": GIVEN["message"]}))
        self.app.put(self.app.jobs_queue, f"AccountKey={GIVEN['message']}", raw=True)
        statuses = [self.app.wait(job)["status"] for job in jobs]
        assert "completed" in statuses
        assert "failed" in statuses
        self.refused()
        until(lambda: self.app.get("/monitor/poison").json()["total"] >= 2, 20, self.app.tail)
        until(lambda: bool(self.receiver.connections), 20, self.app.tail)
        return jobs

    def refused(self) -> None:
        """Requests with secrets in them that are answered with problems."""
        bearer = {"Authorization": f"Bearer {SENT['bearer token']}"}
        asked = [
            self.app.http.get("/jobs/status/nothing", headers=bearer),
            self.app.http.post("/jobs/submit/hello_world", json={"n": -1}, headers=bearer),
            self.app.http.post("/jobs/submit/nothing", json={}, headers=bearer),
            self.app.http.get("/nothing", headers=bearer),
            self.app.http.get(
                "/jobs/types", params={"code": SENT["wrong key"]}, headers={"x-functions-key": ""}
            ),
            self.app.http.get("/health", params={"code": KEYS["admin"]}, headers={"x-functions-key": ""}),
            self.app.http.post("/db/schema/redeploy", headers={"x-functions-key": KEYS["admin"]}),
        ]
        self.answers += [f"{answer.status_code} {answer.headers} {answer.text}" for answer in asked]

    def read(self, jobs: list[str]) -> dict[str, str]:
        """Every GET of the API, for every job; by path."""
        paths = self.app.get("/openapi.json").json()["paths"]
        found: dict[str, str] = {"refused": "\n".join(self.answers)}
        for path, methods in paths.items():
            if "get" not in methods:
                continue
            urls = [path.replace("{job_id}", job) for job in jobs] if "{job_id}" in path else [path]
            for url in urls:
                answer = self.app.get(re.sub(r"\{\w+\}", "1", url))
                found[url] = f"{answer.headers} {answer.text}"
        assert len(found) > 60
        return found

    def rows(self, *, without: tuple[str, ...] = ()) -> str:
        """All rows of the app, without columns of these names."""
        tables = self.app.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'app'")
        rows = [row for table in tables for row in self.app.rows(f"SELECT * FROM app.{table['table_name']}")]
        kept = [{name: value for name, value in row.items() if name not in without} for row in rows]
        return "\n".join(map(str, kept))


@pytest.fixture
def run(make_app: MakeApp, tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "keys.json").write_text(json.dumps(KEYS))
    with collecting() as collector, Listener() as receiver:
        app = make_app(
            *("--auth", "--keys", str(tmp_path / "keys.json"), "--workers", "1"),
            CALLBACK_SECRET=f"whsec_{SIGNING}",
            CALLBACK_HOSTS=f"127.0.0.1:{receiver.port}",
            CALLBACK_ALLOW_HTTP="true",
            CALLBACK_ALLOW_PRIVATE="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS=f"api-key={OWN['OTLP header']}",
            OTEL_BSP_SCHEDULE_DELAY="200",
            OTEL_BLRP_SCHEDULE_DELAY="200",
        )
        yield Run(app, collector, receiver)


def holds(text: str, secrets: dict[str, str]) -> list[str]:
    """Names of the secrets that a text has, as they are or escaped."""
    return [name for name, value in secrets.items() if value in text or value.rstrip("=") in text]


def test_no_secret_is_said_by_anything(run: Run) -> None:
    jobs = run.work()
    answers, log = run.read(jobs), run.app.log.read_text()
    told = b"\n".join(run.collector.bodies).decode("latin-1")
    assert "not_found" in log or "failed" in log
    assert told

    assert holds(log, run.own | SENT | GIVEN) == []
    assert holds(told, run.own | SENT | GIVEN) == []
    assert holds(run.rows(), run.own | SENT) == []
    leaked = {path: found for path, text in answers.items() if (found := holds(text, run.own | SENT))}
    assert leaked == {}
    # What was put into parameters, and into the address of a callback, stays there.
    assert holds(run.rows(without=("parameters", "url", "request", "discovered", "item")), GIVEN) == []
    told_of = (
        "/health",
        "/metrics",
        "/openapi.json",
        "/db/stats",
        "/monitor/poison",
        "/monitor/queues",
        "refused",
    )
    assert {path: holds(answers[path], GIVEN) for path in told_of if path in answers} == {
        path: [] for path in told_of if path in answers
    }
    for path, text in answers.items():
        if re.search(r"explain|events|results|errors|failures|recent", path):
            assert holds(_without_parameters(text), GIVEN) == [], path


def _without_parameters(text: str) -> str:
    """An answer of JSON without what repeats what was asked for."""
    try:
        document: Any = json.loads(text.partition("} ")[2] or text)
    except ValueError:
        return text

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: cut(one) for name, one in value.items() if name != "parameters"}
        return [cut(one) for one in value] if isinstance(value, list) else value

    return json.dumps(cut(document))
