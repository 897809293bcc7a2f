"""`./test`: the tests on throw-away servers. Arguments go to pytest."""

from __future__ import annotations

import os
import sys

from .azurite import ensure_azurite
from .errors import StackError
from .node import ensure_node
from .packages import ensure_postgres
from .paths import Paths
from .progress import Progress


def main() -> None:
    """Install what the servers need, where one sees it happen, and become pytest; it starts them itself."""
    paths, progress = Paths(), Progress()
    try:
        ensure_postgres(paths, progress)
        ensure_azurite(paths, ensure_node(paths, progress), progress)
    except StackError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    # Tests have servers of their own: what the person has set for ./run must not reach them.
    for name in ("DATABASE_URL", "AzureWebJobsStorage", "AZURE_STORAGE_CONNECTION_STRING"):
        os.environ.pop(name, None)
    # Hundreds of processes import the same modules: each would compile them anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *(sys.argv[1:] or _whole_suite())])


def _whole_suite() -> list[str]:
    """Arguments that spread the suite over the cores; each process has servers of its own."""
    # One more than there are cores: tests wait for leases, timers and servers, too.
    processes = min(4, 1 + (os.cpu_count() or 1))
    # What a file's tests share is made once. In the order of the files, the last of which are the shortest.
    spread = ["--dist", "loadfile", "--no-loadscope-reorder"]
    return ["-n", str(processes), *spread, "--durations", "30"]


if __name__ == "__main__":
    main()
