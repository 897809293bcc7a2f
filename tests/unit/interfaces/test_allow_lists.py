"""What marked fields of a job name is held to the settings, wherever in its parameters they are."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel

from interfaces.allow_lists import AllowLists
from interfaces.containers import ReadContainer, SourceContainer, TargetContainer, WrittenContainer
from interfaces.errors import InvalidParameters
from interfaces.marks import Granted, named
from interfaces.settings import Settings


class Inner(BaseModel):
    container: ReadContainer
    note: str = ""


class Outer(BaseModel):
    source: SourceContainer
    target_container: TargetContainer
    optional: WrittenContainer | None = None
    one: Inner | None = None
    several: list[Inner] = []
    roles: list[Annotated[str, Granted()]] = []
    text: str = "container"


def test_what_is_marked_is_found_wherever_a_model_has_them() -> None:
    parameters = Outer(
        source="aaa",
        target_container="bbb",
        optional="ccc",
        one=Inner(container="ddd"),
        several=[Inner(container="eee"), Inner(container="fff")],
        roles=["ggg", "hhh"],
    )
    assert {(field, name, mark.__name__) for field, name, mark in named(parameters, "p")} == {
        ("p.source", "aaa", "Read"),
        ("p.target_container", "bbb", "Written"),
        ("p.optional", "ccc", "Written"),
        ("p.one.container", "ddd", "Read"),
        ("p.several.0.container", "eee", "Read"),
        ("p.several.1.container", "fff", "Read"),
        ("p.roles.0", "ggg", "Granted"),
        ("p.roles.1", "hhh", "Granted"),
    }


def test_a_refusal_names_every_field_and_its_reason() -> None:
    confined = AllowLists(
        Settings(source_containers="bronze", target_containers="silver", stac_grantable_roles="viewer")
    )
    with pytest.raises(InvalidParameters) as caught:
        confined.check(
            Outer(
                source="gold",
                target_container="bronze",
                one=Inner(container="job-scratch"),
                roles=["viewer", "postgres"],
            ),
            "parameters",
        )
    assert {error.field: error.reason.split(";")[0] for error in caught.value.errors} == {
        "parameters.source": "gold is not one of the containers that source_containers allows",
        "parameters.target_container": "bronze is not one of the containers that target_containers allows",
        "parameters.one.container": "job-scratch is this app's own container of scratch blobs",
        "parameters.roles.1": "postgres is not one of the database roles that stac_grantable_roles allows",
    }


@pytest.mark.parametrize(
    ("listed", "allowed"),
    [
        ("", False),
        ("*", False),
        ("view*", False),
        ("Viewer", False),
        ("old_viewer, viewers", False),
        ("viewer", True),
        ("editor, viewer ,", True),
    ],
)
def test_a_role_is_granted_something_by_its_whole_name_alone(listed: str, allowed: bool) -> None:
    lists = AllowLists(Settings(stac_grantable_roles=listed))
    asked = Outer(source="aaa", target_container="bbb", roles=["viewer"])
    if allowed:
        lists.check(asked)
        return
    with pytest.raises(InvalidParameters, match=r"roles\.0: viewer is not one of"):
        lists.check(asked)
