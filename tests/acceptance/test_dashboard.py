"""The operations page in a real Chromium, against the running app."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import BlobServiceClient

from local.stack.postgres import PostgresServer
from tests.fix_app import App, serving
from tests.fix_browser import MakeVisit, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(180)

KEY = "f-key"
WIDTH = 64
HELD = "[sessionStorage.getItem('functions-key'), localStorage.length, document.cookie]"
LONGEST_TASK_MS = 1500
"""Of the browser's main thread, which answers nobody meanwhile. Half a second where nothing else runs."""
SEED = Path(__file__).with_name("dashboard_job.sql")
JOB = "ab" * 32
WATCH = """
window.longest = 0;
const told = (list) => list.getEntries().forEach((one) => { longest = Math.max(longest, one.duration); });
new PerformanceObserver(told).observe({type: "longtask", buffered: true});
"""


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[App]:
    """The app, which asks for keys, with a job of ten thousand tasks that published a COG."""
    folder = tmp_path_factory.mktemp("dashboard")
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"function": KEY, "admin": "a-key"}))
    container = f"cogs-{uuid.uuid4().hex[:8]}"
    arguments = ("--auth", "--keys", str(keys))
    with (
        serving(postgres_server, migrated_template, storage_connection_string, folder, *arguments) as app,
        BlobServiceClient.from_connection_string(storage_connection_string) as blobs,
    ):
        blobs.create_container(container).upload_blob("alps.thumbnail.png", picture())
        app.http.headers["x-functions-key"] = KEY
        app.execute(SEED.read_text().replace("CONTAINER", container))
        yield app


def picture() -> bytes:
    """A small PNG: a gradient of 64 × 32 pixels."""
    rows = b"".join(b"\0" + bytes((3 * x + 2 * y) % 256 for x in range(WIDTH)) for y in range(32))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, 32, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def opened(served: App, visit: Visit, place: str) -> Page:
    """The page at this view, with the key that the tab would hold."""
    visit.page.add_init_script(f"sessionStorage.setItem('functions-key', '{KEY}');{WATCH}")
    visit.page.goto(f"{served.url}/api/dashboard#/{place}")
    visit.page.locator("main h1").first.wait_for()
    return visit.page


def assert_nothing_went_wrong(served: App, visit: Visit) -> None:
    """No error in the console, which would tell of what the policy forbids; and nobody else was asked."""
    assert visit.problems == []
    assert visit.hosts() == {urlsplit(served.url).netloc}


def test_a_job_is_submitted_watched_and_its_failed_task_retried(
    served: App, visit: MakeVisit, storage_connection_string: str
) -> None:
    window = visit()
    page = window.page
    page.goto(f"{served.url}/api/dashboard")

    # The key is asked for, and held by the tab alone.
    dialog = page.get_by_role("dialog", name="Function key")
    dialog.get_by_label("Key", exact=True).fill(KEY)
    dialog.get_by_role("button", name="Use it").click()
    page.get_by_role("cell", name="hello_world").first.wait_for()
    assert page.evaluate(HELD) == [KEY, 0, ""]

    # Submitted by the form; what is wrong is told at its field.
    container = f"late-{uuid.uuid4().hex[:8]}"
    page.get_by_role("link", name="Submit a job").click()
    page.locator(".types").get_by_text("list_container", exact=True).click()
    page.get_by_role("button", name="Submit", exact=True).click()
    page.get_by_text("Field required").first.wait_for()
    page.get_by_role("textbox", name="container").fill(container)
    page.get_by_role("button", name="Submit", exact=True).click()

    # Watched: the container is not there, so its task fails, without anybody loading the page again.
    state = page.locator("h1 .badge")
    page.locator("h1 .badge.s-failed").wait_for()
    page.locator(".explain .summary", has_text=container).wait_for()
    assert page.locator("main").inner_text().count(container) == 1
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the correlation id").click()
    page.get_by_role("button", name="Copy the correlation id").get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") in page.locator(".facts").inner_text()
    page.get_by_role("tab", name="Failures").click()
    page.locator(".groups li").first.wait_for()
    assert container in page.locator(".group-error").first.inner_text()
    page.get_by_role("button", name="task 0", exact=True).click()
    task = page.get_by_role("dialog", name="Task 0 of stage 1")
    task.get_by_text("1. failed").wait_for()
    window.keep("failed task")
    page.keyboard.press("Escape")
    task.wait_for(state="detached")

    # Retried, behind a confirmation, once the cause is mended.
    with BlobServiceClient.from_connection_string(storage_connection_string) as blobs:
        blobs.create_container(container).upload_blob("a.txt", b"a")
    page.locator(".heading").get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert "failed" in state.inner_text()
    page.locator(".heading").get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    page.locator("h1 .badge.s-completed").wait_for()
    page.get_by_role("tab", name="Timeline").click()
    page.locator(".gantt-canvas").wait_for()
    window.keep("retried job")
    assert_nothing_went_wrong(served, window)
    asked = [request for request in window.requests if "/api/dashboard" not in request.url]
    assert {request.headers.get("x-functions-key") for request in asked[5:]} == {KEY}
    assert not any(KEY in request.url for request in window.requests)


def test_ten_thousand_tasks_are_drawn_and_moved_through_by_keyboard_without_stalling(
    served: App, visit: MakeVisit
) -> None:
    window = visit(dark=True)
    page = opened(served, window, f"jobs/{JOB}")
    timeline = page.get_by_role("application")
    timeline.wait_for()
    assert "10,000 tasks" in str(timeline.get_attribute("aria-label"))
    timeline.focus()
    for key in ("PageDown", "PageDown", "ArrowDown", "+", "+", "ArrowRight", "-"):
        page.keyboard.press(key)
    page.locator(".gantt-frame").evaluate("element => { element.scrollTop = element.scrollHeight / 2; }")
    page.wait_for_function("() => document.querySelector('.gantt-frame').scrollTop > 1000")
    window.keep("ten thousand tasks")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_text("Attempts").wait_for()
    log = page.get_by_role("list", name="Log of attempt 1")
    assert "greeting number" in log.inner_text()
    assert "<b>no markup</b>" in log.inner_text()
    window.keep("log of a task")
    page.keyboard.press("Escape")
    assert page.evaluate("window.longest") < LONGEST_TASK_MS
    assert_nothing_went_wrong(served, window)


def test_a_map_shows_a_cog_with_its_thumbnail(served: App, visit: MakeVisit) -> None:
    window = visit()
    page = opened(served, window, f"jobs/{JOB}?tab=map")
    page.locator(".thumbnail img").wait_for()
    size = page.locator(".thumbnail img").evaluate(
        "async (image) => { await image.decode(); return image.naturalWidth; }"
    )
    assert size == 64
    # Of a layer what is in sight is drawn, up to a bound.
    page.get_by_text("Point layer · 1,200 rows · 1,000 of 1,200 in sight").wait_for()
    page.get_by_role("button", name="alps.tif").click()
    page.locator(".map-frame canvas").nth(1).wait_for()
    window.keep("map")
    assert_nothing_went_wrong(served, window)


def test_every_view_is_read_on_a_narrow_screen(served: App, visit: MakeVisit) -> None:
    window = visit(360, 740, dark=True)
    page = opened(served, window, "jobs")
    tabs = ("timeline", "failures", "tasks", "results", "map", "history", "parameters")
    views = [
        "jobs",
        "jobs?search=ello&inside=1",
        *(f"jobs/{JOB}?tab={tab}" for tab in tabs),
        "submit/raster_to_cog",
        "monitor",
        "poison",
        "health",
    ]
    for view in views:
        page.evaluate("place => { location.hash = place; }", f"#/{view}")
        page.locator("main h1").first.wait_for()
        page.locator(".loading").first.wait_for(state="detached")
        assert window.overflow() <= 0, view
        window.keep(f"narrow {view.replace(JOB, 'job')}")
    page.evaluate("place => { location.hash = place; }", f"#/jobs/{JOB}?tab=timeline")
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("list", name="Log of attempt 1").wait_for()
    assert window.overflow() <= 0
    window.keep("narrow log of a task")
    assert_nothing_went_wrong(served, window)


def test_each_job_type_has_a_form_with_all_of_its_parameters(served: App, visit: MakeVisit) -> None:
    window = visit()
    page = opened(served, window, "submit")
    types = served.get("/jobs/types").json()["job_types"]
    assert len(types) > 10
    for one in types:
        page.locator(f".types a[href='#/submit/{one['job_type']}']").click()
        page.get_by_role("form", name=f"Parameters of {one['job_type']}").wait_for()
        shown = page.locator("form [data-field]").evaluate_all("all => all.map(one => one.dataset.field)")
        assert set(one["parameters_schema"]["properties"]) <= set(shown), one["job_type"]
    assert_nothing_went_wrong(served, window)


def test_tabs_are_chosen_by_arrow_keys_and_a_hidden_page_asks_nothing(served: App, visit: MakeVisit) -> None:
    window = visit()
    page = opened(served, window, f"jobs/{JOB}")
    page.get_by_role("tab", name="Timeline").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent").startswith("Failures")
    page.evaluate("location.hash = '#/monitor'")
    page.locator(".chart canvas").nth(4).wait_for()
    window.keep("monitor")
    # What queues looked like before anybody looked.
    page.get_by_label("The last").select_option("7 days")
    page.locator("[aria-label^='Queue depth'][aria-label*='at most 400']").wait_for()
    window.keep("monitor of seven days")
    page.evaluate("location.hash = '#/jobs'")
    page.wait_for_event("requestfinished", lambda request: "/api/db/jobs" in request.url)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    before = len(window.requests)
    # Jobs are asked for every two or three seconds while the page is seen.
    page.wait_for_timeout(3300)
    assert len(window.requests) == before
    assert_nothing_went_wrong(served, window)
