"""The local host, which starts a worker again at once however soon the last one died."""

from __future__ import annotations

import sys

from local import host
from local.functions_host import supervisor

# It waits longer each time that a worker dies within so many seconds, and here they all do.
supervisor._STABLE_SECONDS = 0.0

if __name__ == "__main__":
    sys.exit(host.main())
