"""The operations page: which files are served, and what a browser may do with them."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from pathlib import Path, PurePosixPath

import azure.functions as func
import pytest

from interfaces.access import Role
from interfaces.settings import Settings
from tests.fix_stack import CHECKOUT
from tests.unit.triggers.http_client import Client
from triggers.http import dashboard
from triggers.http.routing import Endpoint, register
from triggers.threads import Threads

WEB = CHECKOUT / "web"


@pytest.fixture(scope="module")
def api() -> Client:
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:9/nothing")  # type: ignore[arg-type]
    endpoint = Endpoint("dashboard", "dashboard/{*path}", {"GET": dashboard.page}, Role.ANYONE)
    register(blueprint, endpoint, settings, Threads("test", 1))
    return Client(blueprint)


def built(suffix: str) -> str:
    """The address of a built file of this kind."""
    return next(f"/api/dashboard/{name}" for name in dashboard.files(dashboard.DIST) if name.endswith(suffix))


def directives(headers: object) -> dict[str, list[str]]:
    policy = dict(headers)["Content-Security-Policy"]  # type: ignore[call-overload]
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def test_the_page_is_served_with_a_policy_that_names_no_other_host(api: Client) -> None:
    answer = api.get("/api/dashboard")
    assert (answer.status, answer.mimetype) == (200, "text/html; charset=utf-8")
    rules = directives(answer.headers)
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == ["'self'"]
    assert {source for sources in rules.values() for source in sources} <= {"'none'", "'self'", "blob:"}
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_built_file_has_what_the_policy_forbids_or_names_another_host() -> None:
    html = dashboard.files(dashboard.DIST)["index.html"].content.decode()
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html) == []
    for source in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert not re.match(r"(\w+:)?//", source), source
    for name, file in dashboard.files(dashboard.DIST).items():
        if name.endswith(".css"):
            assert re.findall(rb"url\(\s*['\"]?(?:data:|https?:|//)|@import", file.content) == [], name


def test_the_page_refers_to_files_that_are_there_by_addresses_below_its_own(api: Client) -> None:
    html = api.get("/api/dashboard").text()
    references = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(references) >= 2
    for reference in references:
        # Relative, so that the page also works below another path of a proxy's.
        assert reference.startswith("dashboard/"), reference
        assert api.get(f"/api/{reference}").status == 200
        # Where the page was asked for with a slash at its end.
        assert api.get(f"/api/dashboard/{reference}").status == 200
    assert api.get("/api/dashboard/").body == api.get("/api/dashboard").body


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        (".js", "text/javascript; charset=utf-8"),
        (".css", "text/css; charset=utf-8"),
        (".json", "application/json"),
    ],
)
def test_files_come_with_their_types_and_are_kept_for_good(api: Client, suffix: str, media_type: str) -> None:
    answer = api.get(built(suffix))
    assert (answer.status, answer.mimetype) == (200, media_type)
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Content-Security-Policy" in answer.headers


def test_a_file_that_the_browser_has_is_not_sent_again(api: Client) -> None:
    for url in ("/api/dashboard", built(".js")):
        for encoding in ("", "gzip, br"):
            answer = api.get(url, {"accept-encoding": encoding})
            etag = answer.headers["ETag"]
            for asked in (etag, f"W/{etag}", f'"other", {etag}'):
                again = api.get(url, {"if-none-match": asked, "accept-encoding": encoding})
                assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
            assert api.get(url, {"if-none-match": '"other"', "accept-encoding": encoding}).status == 200


def test_files_are_packed_for_those_who_take_it(api: Client) -> None:
    plain, packed = (api.get(built(".js"), {"accept-encoding": one}) for one in ("identity", "gzip"))
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "../../function_app.py",
        "assets/../../../host.json",
        "..%2f..%2fhost.json",
        "%2e%2e/%2e%2e/host.json",
        "..\\..\\host.json",
        "/etc/passwd",
        "assets",
        "assets/",
        "INDEX.HTML",
        "index.html%00",
        "sources.sha256",
    ],
)
def test_nothing_but_the_built_files_is_served(api: Client, path: str) -> None:
    answer = api.get(f"/api/dashboard/{path}")
    assert answer.status == 404
    assert answer.mimetype == "application/problem+json"


def test_the_page_asks_for_no_key_and_is_only_read(api: Client) -> None:
    [route] = api.routes
    assert route.auth_level.upper().endswith("ANONYMOUS")
    assert api.request("HEAD", "/api/dashboard").status == 200
    assert api.post("/api/dashboard").status == 405


def sources() -> list[Path]:
    """What the page is built from: as `web/vite.config.ts` lists it."""
    single = [WEB / name for name in ("index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")]
    inside = [path for path in (WEB / "src").rglob("*") if path.is_file()]
    return sorted([*single, *inside], key=lambda path: path.relative_to(WEB).as_posix())


def test_the_shipped_page_was_built_from_these_sources() -> None:
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.relative_to(WEB).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    recorded = (WEB / "dist" / "sources.sha256").read_text().strip()
    assert recorded == digest.hexdigest(), "run `npm ci && npm run build` in web/"


def test_a_deployment_has_the_built_page_and_not_its_sources() -> None:
    patterns = [
        line for line in (CHECKOUT / ".funcignore").read_text().splitlines() if line.startswith("web/")
    ]
    tracked = subprocess.run(
        ["git", "ls-files", "web"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("not a checkout of git")
    left_out = {
        name for name in tracked for pattern in patterns if PurePosixPath(name).is_relative_to(pattern)
    }
    kept = set(tracked) - left_out
    assert kept
    assert all(name.startswith("web/dist/") for name in kept), kept
    assert not any(name.startswith("web/dist/") for name in left_out)
    assert "web/node_modules" in patterns
    assert [name for name in tracked if "node_modules" in name] == []


def test_the_lock_file_names_no_host_but_the_public_registry() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)/[^\"]*\.tgz", (WEB / "package-lock.json").read_text()))
    assert hosts <= {"registry.npmjs.org"}
