"""What the operations page draws of one job: attempts in time, failures by error, one task, a map."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError, TaskError
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy
from interfaces.workflows import RetryPolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

AT_ONCE = RetryPolicy(max_attempts=2, base_delay=timedelta(0), max_delay=timedelta(0))
COLUMNS = ("stage", "task_index", "status", "due", "attempts")
PUBLISHED = """
INSERT INTO geo.cogs (container, name, publication, job_id, run, stage, task_index, sources, parameters_hash,
                      versions, size, md5, etag, notes, item)
VALUES ('silver', %s, 'p', %s, 1, 3, 0, '[]', 'h', '{}', 7, %s, 'e1', '[]', %s::jsonb) RETURNING 1"""


@pytest.fixture
def failed(world: World) -> str:
    """A job of six tasks that ended with errors: three of one kind, one of another, one only at first."""

    def work(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        index = parameters["i"]
        if index < 3:
            raise PermanentTaskError(f"'scene_{index}.tif' has {index + 4} bands; 3 are allowed")
        if index == 3:
            raise PermanentTaskError("the CRS is missing")
        if index == 4 and context.attempt == 1:
            raise TaskError("the network failed")
        return {"i": index, "bounds_wgs84": [170.0, -10.0, -170.0, 10.0]}

    stage = StageDefinition("first", "work", FailurePolicy.CONTINUE)
    world.register(ScriptedJob("job", [stage]), task_type("work", work, retry=AT_ONCE))
    job_id = world.submit("job", n=6).job_id
    assert world.run(job_id)["status"] == "completed_with_errors"
    return job_id


def tasks_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in body["tasks"]]


def test_a_timeline_has_every_attempt_as_seconds_of_the_run(api: Client, failed: str) -> None:
    body = api.get(f"/api/jobs/{failed}/timeline").json()
    tasks = tasks_of(body)
    assert [(t["stage"], t["task_index"]) for t in tasks] == [(1, n) for n in range(6)]
    assert [[a[2] for a in t["attempts"]] for t in tasks] == [
        *[["failed"]] * 4,
        ["retry", "completed"],
        ["completed"],
    ]
    for task in tasks:
        for start, end, _ in task["attempts"]:
            assert 0 <= start <= end <= body["now"]
    assert (body["run"], body["status"], body["count"]) == (1, "completed_with_errors", 6)


def test_a_timeline_comes_in_pages_and_since_a_moment(api: Client, world: World, failed: str) -> None:
    found, link = [], f"/api/jobs/{failed}/timeline?limit=4"
    while link:
        body = api.get(link).json()
        found.append([t["task_index"] for t in tasks_of(body)])
        link = body["links"]["next"]
    assert found == [[0, 1, 2, 3], [4, 5]]
    now = body["now"]
    assert api.get(f"/api/jobs/{failed}/timeline?since={now + 1}").json()["tasks"] == []
    api.post(f"/api/jobs/{failed}/retry")
    changed = tasks_of(api.get(f"/api/jobs/{failed}/timeline?since={now}").json())
    assert [t["task_index"] for t in changed] == [0, 1, 2, 3]
    assert {t["status"] for t in changed} == {"queued"}


def test_a_lost_lease_is_an_attempt_of_the_timeline(api: Client, world: World) -> None:
    object.__setattr__(world.settings, "run_at_once_seconds", 0)
    world.register(
        ScriptedJob("job", [StageDefinition("first", "work")]), task_type("work", lambda p, c: {"ok": True})
    )
    job_id = world.submit("job").job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    # A worker that claimed the task and was never heard of again.
    world.rows(
        "UPDATE app.tasks SET status = 'processing', attempt = 1, fence = 1, worker = 'dead',"
        " started_at = now(), lease_until = now() - interval '1 hour' WHERE job_id = %s RETURNING 1",
        job_id,
    )
    world.rows("UPDATE app.stage_counters SET queued = 0, processing = 1 WHERE slot = 0 RETURNING 1")
    world.engine.reconcile()
    world.run(job_id)
    [task] = tasks_of(api.get(f"/api/jobs/{job_id}/timeline").json())
    assert [attempt[2] for attempt in task["attempts"]] == ["lease_lost", "completed"]


def test_failures_are_grouped_by_what_their_errors_have_in_common(api: Client, failed: str) -> None:
    body = api.get(f"/api/jobs/{failed}/failures").json()
    assert (body["failed"], body["complete"]) == (4, True)
    first, second = body["groups"]
    assert (first["tasks"], first["task_indexes"], first["stage_key"]) == (3, [0, 1, 2], "first")
    assert "'scene_0.tif' has 4 bands" in first["error"]
    assert "… has … bands" in first["pattern"]
    assert (second["tasks"], second["task_indexes"]) == (1, [3])


def test_a_task_is_shown_with_its_parameters_attempts_result_and_events(api: Client, failed: str) -> None:
    task = api.get(f"/api/jobs/{failed}/tasks/1/4").json()
    assert (task["status"], task["attempt"], task["max_attempts"]) == ("completed", 2, 2)
    assert task["parameters"] == {"i": 4}
    assert task["result"]["i"] == 4
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["retry", "completed"]
    assert "the network failed" in task["attempts"][0]["error"]
    events = [event["event"] for event in task["events"]]
    assert events == ["tasks_claimed", "tasks_retried", "tasks_claimed", "tasks_completed"]
    assert api.get(f"/api/jobs/{failed}/tasks/1/6").status == 404
    assert api.get(f"/api/jobs/{failed}/tasks/2/0").status == 404


def test_a_map_shows_rasters_on_both_sides_of_the_antimeridian(api: Client, failed: str) -> None:
    body = api.get(f"/api/jobs/{failed}/coverage").json()
    assert body["type"] == "FeatureCollection"
    assert [f["properties"]["task_index"] for f in body["features"]] == [4, 5]
    [left, right] = body["features"][0]["geometry"]["coordinates"]
    assert {x for x, _ in left[0]} == {170, 180}
    assert {x for x, _ in right[0]} == {-180, -170}
    assert body["truncated"] is False
    assert api.get(f"/api/jobs/{failed}/coverage?limit=1").json()["truncated"] is True


def test_a_map_shows_published_cogs_with_thumbnails_and_layers_in_degrees(
    api: Client, world: World, failed: str
) -> None:
    square = '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}'
    picture = '{"thumbnail": {"href": "./a.thumbnail.png", "type": "image/png"}}'
    item = f'{{"id": "a", "geometry": {square}, "assets": {picture}}}'
    world.rows(PUBLISHED, "x/a.tif", failed, "0" * 32, item)
    world.rows(
        "INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column, geometry_type,"
        " key, columns, row_count, extent, job_id, run)"
        " VALUES ('features', 'roads', 'Roads', 3857, 'geom', 'LineString',"
        " '[]', '[]', 5, '{0, 0, 1113194.9, 1118889.97}', %s, 1) RETURNING 1",
        failed,
    )
    world.blobs.write("silver", "x/a.thumbnail.png", b"picture", content_type="image/png")
    features = api.get(f"/api/jobs/{failed}/coverage").json()["features"]
    by_kind = {f["properties"]["kind"]: f for f in features}
    assert by_kind["layer"]["geometry"]["coordinates"][0][2] == pytest.approx([10, 10], abs=1e-4)
    assert by_kind["cog"]["geometry"]["coordinates"][0][1] == [1, 0]
    link = by_kind["cog"]["properties"]["thumbnail"]
    answer = api.get(link)
    assert (answer.status, answer.body, answer.mimetype) == (200, b"picture", "image/png")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert api.get(link, {"if-none-match": answer.headers["ETag"]}).status == 304


@pytest.mark.parametrize("href", ["../../secret.png", "https://elsewhere.example/a.png", "/a.png"])
def test_a_thumbnail_is_only_looked_for_in_the_container_of_its_cog(
    api: Client, world: World, failed: str, href: str
) -> None:
    item = f'{{"id": "a", "assets": {{"thumbnail": {{"href": "{href}"}}}}}}'
    world.rows(PUBLISHED, "x/a.tif", failed, "0" * 32, item)
    assert api.get("/api/cogs/thumbnail?container=silver&name=x/a.tif").status == 404
    assert api.get("/api/cogs/thumbnail?container=silver&name=other.tif").status == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=orange", ["b"]),
        ("search=ORANGE%20jui", ["b"]),
        ("search=jui%20ora", ["b"]),
        ("search=range", []),
        ("search=orange-jui", []),
        ("search=%2F", []),
        ("search=7", ["a"]),
        ("search=b.tif", ["a"]),
        ("search=b.t", ["a"]),
        ("search=a.tif%20b", ["a"]),
        ("search=tif.b", []),
        ("search=%27x", []),
        ("contains=range", ["b"]),
        ("contains=E%20jUi", ["b"]),
        ("contains=jui%20ora", []),
        ("contains=.tif", ["a"]),
        ("contains=label", []),
        ("parameter=label=Orange%20juice", ["b"]),
        ("parameter=n=7", ["a"]),
        ("parameter=names=b.tif", ["a"]),
        ("parameter=label=7", []),
        ("parameter=colour=red", []),
        ("search=label", []),
    ],
)
def test_jobs_are_found_by_their_parameters(api: Client, world: World, query: str, found: list[str]) -> None:
    world.register(ScriptedJob("job", [StageDefinition("s", "w")]), task_type("w", lambda p, c: {}))
    ids = {
        world.submit("job", n=7).job_id: "a",
        world.submit("job", label="Orange juice", n=3).job_id: "b",
    }
    add = (
        "UPDATE app.jobs SET parameters = parameters || %s::jsonb WHERE parameters ->> 'n' = '7' RETURNING 1"
    )
    assert world.rows(add, '{"names": ["a.tif", "b.tif"]}')
    jobs = api.get(f"/api/db/jobs?{query}").json()["jobs"]
    # An id begins with a digit by chance: what is looked for there is not looked for here.
    assert [ids[j["job_id"]] for j in jobs if query != "search=7" or ids[j["job_id"]] == "a"] == found


def test_a_job_is_found_by_the_beginning_of_its_id(api: Client, world: World) -> None:
    job_id = api.post("/api/jobs/submit/hello_world", {"n": 1}).json()["job_id"]
    api.post("/api/jobs/submit/hello_world", {"n": 2})
    found = api.get(f"/api/db/jobs?search={job_id[:16].upper()}").json()["jobs"]
    assert [job["job_id"] for job in found] == [job_id]


BAD = [
    ("/api/db/jobs", "search=" + "x" * 201, "search"),
    ("/api/db/jobs", "search=%00", "search"),
    ("/api/db/jobs", "contains=" + "x" * 201, "contains"),
    ("/api/db/jobs", "parameter=container", "parameter"),
    ("/api/db/jobs", "parameter==silver", "parameter"),
    ("/api/jobs/{job}/timeline", "since=-1", "since"),
    ("/api/jobs/{job}/timeline", "since=nan", "since"),
    ("/api/jobs/{job}/timeline", "limit=10001", "limit"),
    ("/api/jobs/{job}/timeline", "cursor=x", "cursor"),
    ("/api/jobs/{job}/timeline", "run=2", "run"),
    ("/api/jobs/{job}/failures", "run=2", "run"),
    ("/api/jobs/{job}/coverage", "limit=5001", "limit"),
    ("/api/jobs/{job}/tasks/0/0", "", "stage"),
    ("/api/jobs/{job}/tasks/x/0", "", "stage"),
    ("/api/jobs/{job}/tasks/1/-1", "", "task_index"),
    ("/api/jobs/{job}/tasks/1/2147483648", "", "task_index"),
    ("/api/cogs/thumbnail", "container=silver", "name"),
    ("/api/cogs/thumbnail", "container=silver&name=%00", "name"),
    ("/api/monitor/activity", "minutes=1441", "minutes"),
    ("/api/dashboard", "x=1", "x"),
]


@pytest.mark.parametrize(("url", "query", "field"), BAD)
def test_what_cannot_be_understood_is_refused_naming_the_field(
    api: Client, world: World, url: str, query: str, field: str
) -> None:
    job = world.submit("hello_world").job_id if "{job}" in url else ""
    answer = api.get(f"{url.format(job=job)}?{query}")
    assert answer.status == 400, answer.text()
    assert field in [error["field"] for error in answer.json()["errors"]]
