"""Items that belong together become one task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interfaces.plans import StageDefinition, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

Found = list[dict[str, Any]]


def _grouped(world: World, find: Callable[[dict[str, Any], Any], Found], n: int = 1) -> dict[str, Any]:
    """Run a job of `n` tasks that discover what `find` answers, grouped by target for the second stage."""

    def discover(p: dict[str, Any], context: Any) -> dict[str, Any]:
        context.discover(find(p, context))
        return {}

    world.register(
        ScriptedJob(
            "groups",
            [
                StageDefinition("find", "find", FailurePolicy.CONTINUE),
                StageDefinition("use", "use"),
            ],
            lambda s, p, r: (
                Tasks([{"i": i} for i in range(p.n)])
                if s == 1
                else TasksFromItems(group_by="target", common={"shared": 1})
            ),
        ),
        task_type("find", discover),
        task_type("use", lambda p, c: p),
    )
    job = world.run(world.submit("groups", n=n).job_id)
    assert world.violations() == {}
    return job


def _groups(world: World, job: dict[str, Any]) -> list[tuple[Any, list[Any]]]:
    tasks = world.tasks(job["job_id"], 2)
    assert [task["task_index"] for task in tasks] == list(range(len(tasks)))
    assert all(task["result"]["shared"] == 1 for task in tasks)
    return [(task["result"]["target"], [item["name"] for item in task["result"]["items"]]) for task in tasks]


def test_items_with_one_target_become_one_task_in_the_order_of_first_appearance(world: World) -> None:
    found = [
        [("b", 0), ("a", 1), ("b", 2)],
        [("c", 3), ("a", 4), ("b", 5)],
    ]
    job = _grouped(
        world, lambda p, c: [{"target": target, "name": name} for target, name in found[p["i"]]], n=2
    )
    assert job["status"] == "completed"
    assert _groups(world, job) == [("b", [0, 2, 5]), ("a", [1, 4]), ("c", [3])]


def test_targets_that_are_not_text_are_told_apart_by_their_value(world: World) -> None:
    targets: list[Any] = [{"x": 1, "y": 2}, {"y": 2, "x": 1}, [1], 1, "1", False]
    job = _grouped(world, lambda p, c: [{"target": t, "name": i} for i, t in enumerate(targets)])
    assert _groups(world, job) == [({"x": 1, "y": 2}, [0, 1]), ([1], [2]), (1, [3]), ("1", [4]), (False, [5])]


def test_items_of_attempts_and_tasks_that_failed_are_in_no_group(world: World) -> None:
    def find(p: dict[str, Any], context: Any) -> Found:
        context.discover([{"target": "a", "name": f"{p['i']}, attempt {context.attempt}"}])
        if p["i"] == 0 or context.attempt == 1:
            raise OSError("lost the connection")
        return []

    job = _grouped(world, find, n=2)
    assert job["status"] == "completed_with_errors"
    assert _groups(world, job) == [("a", ["1, attempt 2"])]


def test_a_stage_that_found_nothing_is_followed_by_one_without_tasks(world: World) -> None:
    job = _grouped(world, lambda p, c: [])
    assert job["status"] == "completed"
    assert _groups(world, job) == []


@pytest.mark.parametrize("wrong", [{"name": 3}, {"name": 3, "target": None}])
def test_an_item_without_the_key_fails_the_plan_and_is_named(world: World, wrong: dict[str, Any]) -> None:
    def find(p: dict[str, Any], context: Any) -> Found:
        items: Found = [{"target": "a", "name": 0}, {"target": "b", "name": 1}]
        return [*items, wrong, wrong] if p["i"] == 1 else items

    job = _grouped(world, find, n=3)
    assert job["status"] == "failed"
    assert job["error"] == (
        "stage 2: group_by: item 2 that task 1 of the previous stage discovered has no 'target'"
    )
    assert world.tasks(job["job_id"], 2) == []


@pytest.mark.parametrize(("groups", "status"), [(10, "completed"), (11, "failed")])
def test_a_stage_has_at_most_so_many_groups(
    make_world: Callable[..., World], groups: int, status: str
) -> None:
    world = make_world(max_tasks_per_stage=10)
    job = _grouped(world, lambda p, c: [{"target": i % groups, "name": i} for i in range(50)])
    assert job["status"] == status
    assert (job["error"] or "") == ("" if groups == 10 else "stage 2 has more than 10 tasks")


def test_a_group_holds_many_items_in_their_order(world: World) -> None:
    job = _grouped(world, lambda p, c: [{"target": i % 2, "name": i} for i in range(5000)])
    assert _groups(world, job) == [(0, list(range(0, 5000, 2))), (1, list(range(1, 5000, 2)))]
