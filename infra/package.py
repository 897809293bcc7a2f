"""Makes the folder that is deployed: what git tracks and `.funcignore` leaves, with all packages pinned.

    python3 infra/package.py FOLDER

What lies in a checkout and is not tracked, such as notes, credentials or data, is nobody's to deploy. Where
there is no git, as in an unpacked archive, it is what `DEPLOYED` lists.

Azure's remote build installs `requirements.txt`. In this folder that is `requirements.lock`: pip then
installs nothing whose hash is not in it (`--require-hashes` is on as soon as one requirement has a hash),
packages that others depend on among them. Uses the standard library alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
INSTALLED = "requirements.txt"
FOLDERS = ("controllers", "engine", "interfaces", "repositories", "services", "triggers")
DEPLOYED = (
    "function_app.py",
    "registration.py",
    "registration_*.py",
    "host.json",
    INSTALLED,
    *(f"{folder}/*.py" for folder in FOLDERS),
    "services/stac/schemas/*.json",
    "sql/*.sql",
    "sql/release",
    "triggers/http/swagger_ui/*",
    "web/dist/*",
)
"""The same where nobody knows what is tracked; `*` stands for folders, too."""


def package(source: Path, target: Path) -> list[str]:
    """Copy what is deployed; answers the names of the files. `target` must be empty or not there yet.

    Raises `SystemExit` with the reason where that cannot be known.
    """
    if target.exists() and any(target.iterdir()):
        raise SystemExit(f"{target} is not empty")
    lines = (source / ".funcignore").read_text().splitlines()
    ignored = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    names = tracked(source)
    if names is None:
        names = listed(source)
    copied = [name for name in names if (source / name).is_file() and not _is_ignored(name, ignored)]
    for name in copied:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / (LOCK if name == INSTALLED else name), target / name)
    return copied


def tracked(source: Path) -> list[str] | None:
    """The files that git tracks below a folder, as they are called there; None where git knows none.

    Raises `SystemExit` where there is a repository that git does not read, such as another user's.
    """
    command = ["git", "-C", str(source), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    if done.returncode:
        if any((folder / ".git").exists() for folder in (source, *source.parents)):
            raise SystemExit(
                f"git does not say what it tracks: {done.stderr.decode(errors='replace').strip()}"
            )
        return None
    # A folder that somebody unpacked inside another repository, which does not have it.
    return sorted(done.stdout.decode().split("\0")[:-1]) or None


def listed(source: Path) -> list[str]:
    """The files below a folder that `DEPLOYED` lists."""
    files = (file.relative_to(source).as_posix() for file in source.rglob("*"))
    return sorted(name for name in files if any(fnmatch(name, pattern) for pattern in DEPLOYED))


def _is_ignored(name: str, patterns: list[str]) -> bool:
    """As in .gitignore: a pattern without a slash is any part of the name, one with it begins at the top."""
    path = PurePosixPath(name)
    parents = [str(path), *map(str, path.parents)]
    return any(
        any(fnmatch(one, pattern) for one in (parents if "/" in pattern else path.parts))
        for pattern in patterns
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = package(ROOT, Path(sys.argv[1]).resolve())
    sys.stdout.write(f"{len(found)} files in {sys.argv[1]}\n")
