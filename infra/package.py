"""Makes the folder that is deployed: what `.funcignore` leaves, with every package pinned by its hashes.

    python3 infra/package.py FOLDER

Azure's remote build installs `requirements.txt`. In this folder that is `requirements.lock`: pip then
installs nothing whose hash is not in it (`--require-hashes` is on as soon as one requirement has a hash),
packages that others depend on among them. Uses the standard library alone.
"""

from __future__ import annotations

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
INSTALLED = "requirements.txt"


def package(source: Path, target: Path) -> list[str]:
    """Copy what is deployed; answers the names of the files. `target` must be empty or not there yet."""
    if target.exists() and any(target.iterdir()):
        raise SystemExit(f"{target} is not empty")
    lines = (source / ".funcignore").read_text().splitlines()
    ignored = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    copied = []
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source)
        if target in (file, *file.parents) or not file.is_file() or _is_ignored(name, ignored):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / LOCK if str(name) == INSTALLED else file, target / name)
        copied.append(str(name))
    return copied


def _is_ignored(name: Path, patterns: list[str]) -> bool:
    """As in .gitignore: a pattern without a slash is any part of the name, one with it begins at the top."""
    path = PurePosixPath(name.as_posix())
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
