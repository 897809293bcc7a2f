"""What the reference says is what the code says."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from interfaces.settings import Settings
from interfaces.states import JobStatus, StageStatus, TaskStatus
from local.reference.pages import FOLDER, TABLES, of_the_code
from local.reference.settings import descriptions
from tests.fix_stack import CHECKOUT

STATES = (CHECKOUT / FOLDER / "states.md").read_text()
AGAIN = "make it anew: .venv/bin/python -m local.reference"


def test_every_page_that_is_made_of_the_code_is_current() -> None:
    """All at once: the app is made for them, which takes a second."""
    pages = of_the_code()
    stale = [name for name, text in pages.items() if (CHECKOUT / FOLDER / name).read_text() != text]
    assert stale == [], AGAIN
    there = {file.name for file in (CHECKOUT / FOLDER).glob("*.md")}
    assert there - set(pages) == {TABLES, "states.md"}


def test_every_setting_is_described() -> None:
    assert set(Settings.model_fields) - set(descriptions()) == set()


def section(heading: str) -> str:
    found = re.search(rf"(?ms)^## {heading}\n(.*?)(?=^## |\Z)", STATES)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("heading", "states"), [("Jobs", JobStatus), ("Stages", StageStatus), ("Tasks", TaskStatus)]
)
def test_every_state_is_described_and_drawn(heading: str, states: type[StrEnum]) -> None:
    text = section(heading)
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(states)
    drawn = re.findall(r"^ +(\w+|\[\*\]) --> (\w+)", text, re.MULTILINE)
    assert {name for pair in drawn for name in pair} - {"[*]"} == set(states)


def recorded() -> set[str]:
    """Names of events that the SQL writes; those that it puts together, by what may be put in."""
    found: set[str] = set()
    for file in sorted((CHECKOUT / "sql/functions").glob("*.sql")):
        text = file.read_text()
        for call in re.findall(r"record_(?:event|action)\((.*?)\);", text, re.DOTALL):
            found |= set(re.findall(r"(?:stage|NULL|1|\.stage), *'([a-z_]+)'", call))
        found |= set(re.findall(r"'(dispatches_\w+)'", text))
    whole = {name for name in found if not name.endswith("_")}
    ends = {f"job_{s}" for s in JobStatus if s.is_terminal}
    stages = {f"stage_{s}" for s in StageStatus if s not in ("processing", "failing")}
    tasks = {f"tasks_{s}" for s in ("completed", "failed", "cancelled", "retried", "deferred")}
    followers = {f"follower_{s}" for s in ("submitted", "skipped", "failed")}
    assert {name for name in found if name.endswith("_")} == {"job_", "stage_", "tasks_", "follower_"}
    return whole | ends | stages | tasks | followers


def test_every_event_of_the_history_is_described() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section("History"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == recorded()
