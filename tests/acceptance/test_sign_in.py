"""The operations page where the app asks who somebody is: in a real Chromium, over answers of the test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.fix_browser import MakeVisit
from triggers.http import dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

APP = "http://geo.example.org"
WHO = {"title": "Not authenticated", "status": 401, "detail": "this needs signing in"}


def opened(visit: MakeVisit, answer: dict[str, object]) -> Page:
    """The page's jobs, at an app that answers all that is asked so."""

    def respond(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith("/api/dashboard"):
            file = dashboard.files(dashboard.DIST)[
                path.removeprefix("/api/dashboard").lstrip("/") or "index.html"
            ]
            route.fulfill(body=file.content, content_type=file.media_type, headers=dict(dashboard.HEADERS))
        else:
            route.fulfill(**answer)  # type: ignore[arg-type]

    page = visit().page
    page.route("**/*", respond)
    page.goto(f"{APP}/api/dashboard#/jobs")
    return page


@pytest.mark.parametrize(("where", "link"), [("/.auth/login/aad", True), ("", False)])
def test_who_is_unknown_is_led_to_where_one_signs_in_and_back(
    visit: MakeVisit, where: str, link: bool
) -> None:
    headers = {"content-type": "application/problem+json", **({"x-sign-in": where} if where else {})}
    page = opened(visit, {"status": 401, "body": json.dumps(WHO), "headers": headers})
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.wait_for()
    assert page.get_by_role("dialog", name="Function key").count() == 0
    found = dialog.get_by_role("link")
    assert found.count() == int(link)
    if link:
        back = "%2Fapi%2Fdashboard%23%2Fjobs"
        assert found.get_attribute("href") == f"/.auth/login/aad?post_login_redirect_uri={back}"


def test_where_the_host_asks_for_a_key_the_key_is_asked_for(visit: MakeVisit) -> None:
    page = opened(visit, {"status": 401, "body": ""})
    page.get_by_role("dialog", name="Function key").wait_for()
