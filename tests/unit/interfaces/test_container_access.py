"""Which containers jobs may name: patterns of two settings, and what none of them opens."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from interfaces.container_access import ContainerAccess
from interfaces.settings import Settings

RESERVED = [
    "job-results",
    "job-scratch",
    "kept-runs",
    "azure-webjobs-secrets",
    "azure-webjobs-hosts",
    "app-package-orchestrator-0a1b2c3",
    "deploymentpackage",
    "scm-releases",
    "insights-logs-storageread",
    "releases",
    "$root",
    "$web",
    "$logs",
    "bronze/../job-results",
    "",
]


def access(**given: Any) -> ContainerAccess:
    return ContainerAccess(
        Settings(retention_archive_container="kept-runs", reserved_containers="releases", **given)
    )


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("listed", ["*", "job-*, azure-*, app-*, kept-runs, releases, deploymentpackage"])
def test_no_setting_opens_the_containers_of_the_app_and_of_the_platform(name: str, listed: str) -> None:
    opened = access(source_containers=listed, target_containers=listed)
    assert opened.why_not_read(name)
    assert opened.why_not_written(name)
    assert opened.why_not_seen(name)


def test_by_default_jobs_may_use_every_other_container() -> None:
    assert access().why_not_read("bronze") is None
    assert access().why_not_written("silver") is None


@pytest.mark.parametrize(
    ("patterns", "name", "allowed"),
    [
        ("bronze", "bronze", True),
        ("bronze", "bronze-2", False),
        ("bronze", "my-bronze", False),
        ("raw-*, bronze", "raw-2024", True),
        ("raw-*,bronze", "bronze", True),
        ("raw-*", "raw", False),
        ("*-public", "maps-public", True),
        ("a.c", "abc", False),
        ("", "bronze", False),
        (" , ", "bronze", False),
    ],
)
def test_a_container_is_allowed_by_a_pattern_of_its_whole_name(
    patterns: str, name: str, allowed: bool
) -> None:
    if "." in patterns:
        with pytest.raises(ValidationError, match="source_containers"):
            Settings(source_containers=patterns)
        return
    assert (access(source_containers=patterns).why_not_read(name) is None) is allowed
    assert (access(target_containers=patterns).why_not_written(name) is None) is allowed


def test_what_is_read_is_not_written_and_what_is_written_may_be_looked_at() -> None:
    confined = access(source_containers="bronze", target_containers="silver")
    assert "target_containers" in (confined.why_not_written("bronze") or "")
    assert "source_containers" in (confined.why_not_read("silver") or "")
    assert confined.why_not_seen("bronze") is None
    assert confined.why_not_seen("silver") is None
    assert confined.why_not_seen("gold")
