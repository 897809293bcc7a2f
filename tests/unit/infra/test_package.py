"""What goes into the folder that is deployed: nothing that merely lies in the checkout."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fix_stack import CHECKOUT

PACKAGE = runpy.run_path(str(CHECKOUT / "infra/package.py"))
TRACKED = {
    "function_app.py": "app",
    "requirements.txt": "library",
    "requirements.lock": "library==1 --hash=sha256:0",
    "services/work.py": "work",
    "sql/queries/jobs.sql": "SELECT 1",
    "docs/README.md": "manual",
    "README.md": "readme",
}
LEFT_LYING = {
    "services/scratch.py": "tried out",
    "services/key.json": "secret",
    "sql/dump.sql.gz": "data",
    "production.tfvars": "secret",
    "data/parcels.gpkg": "data",
}
DEPLOYED = ["function_app.py", "requirements.txt", "services/work.py", "sql/queries/jobs.sql"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with files that nobody committed, without git."""
    folder = tmp_path / "checkout"
    write(folder, {**TRACKED, **LEFT_LYING})
    for name in (".funcignore", "infra/package.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(CHECKOUT / name, folder / name)
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def track(checkout: Path) -> None:
    git(checkout, "init", "-q")
    git(checkout, "add", "--", *TRACKED, ".funcignore", "infra")


def run(checkout: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """The command, as azure.yaml runs it."""
    command = [sys.executable, "infra/package.py", ".local/package"]
    return subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, check=False, env=given or None
    )


def packed(checkout: Path) -> list[str]:
    folder = checkout / ".local/package"
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_only_what_git_tracks_is_deployed(checkout: Path) -> None:
    track(checkout)
    done = run(checkout)
    assert done.returncode == 0, done.stderr
    assert packed(checkout) == DEPLOYED
    assert (checkout / ".local/package/requirements.txt").read_text() == TRACKED["requirements.lock"]


def test_a_tracked_file_is_deployed_as_it_is_now_and_one_that_was_removed_is_not(checkout: Path) -> None:
    track(checkout)
    (checkout / "function_app.py").write_text("changed")
    (checkout / "services/work.py").unlink()
    assert run(checkout).returncode == 0
    assert packed(checkout) == [name for name in DEPLOYED if name != "services/work.py"]
    assert (checkout / ".local/package/function_app.py").read_text() == "changed"


def without_a_program(checkout: Path) -> dict[str, str]:
    (checkout / ".git").mkdir()
    return {"PATH": str(checkout)}


def without_a_repository(checkout: Path) -> dict[str, str]:
    return {}


def inside_of_another_repository(checkout: Path) -> dict[str, str]:
    git(checkout.parent, "init", "-q")
    return {}


@pytest.mark.parametrize("how", [without_a_program, without_a_repository, inside_of_another_repository])
def test_where_nobody_knows_what_is_tracked_only_what_is_listed_is_deployed(
    checkout: Path, how: Callable[[Path], dict[str, str]]
) -> None:
    done = run(checkout, **how(checkout))
    assert done.returncode == 0, done.stderr
    # Nothing but its name tells a module that was tried out from one of the app's.
    assert packed(checkout) == sorted([*DEPLOYED, "services/scratch.py"])


def test_a_repository_that_git_does_not_read_is_not_passed_over(checkout: Path) -> None:
    (checkout / ".git").write_text("gitdir: nowhere")
    done = run(checkout)
    assert done.returncode == 1
    assert done.stderr.startswith("git does not say what it tracks: fatal: ")
    assert not (checkout / ".local").exists()


def test_the_list_has_all_that_git_tracks_of_the_app(tmp_path: Path) -> None:
    try:
        known = PACKAGE["tracked"](CHECKOUT)
    except SystemExit as error:
        pytest.skip(str(error))
    if known is None:
        pytest.skip("nobody knows what is tracked of this checkout")
    tracked = PACKAGE["package"](CHECKOUT, tmp_path / "package")
    missing = sorted(set(tracked) - set(PACKAGE["listed"](tmp_path / "package")))
    assert missing == [], "add them to DEPLOYED in infra/package.py, or to .funcignore"
