"""The local Functions host: `python -m local.host` serves `function_app.app` on http://127.0.0.1:7071.

A development tool with the semantics of the Azure Functions host, for machines without Core Tools.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__" and __package__ in (None, ""):
    # `python local/host.py` puts `local` on the path, not the folder that holds it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from local.functions_host.errors import HostError
from local.functions_host.local_settings import load_local_settings
from local.functions_host.supervisor import DEFAULT_PORT, DEFAULT_WORKERS, ServeOptions, serve


def parse_arguments(argv: Sequence[str]) -> ServeOptions:
    """Return the options that a command line names."""
    parser = argparse.ArgumentParser(prog="local/host.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port, 0 for a free one (%(default)s)")
    parser.add_argument(
        "--workers", type=_positive, default=DEFAULT_WORKERS, help="worker processes (%(default)s)"
    )
    parser.add_argument("--app", default="function_app:app", help="module:attribute (%(default)s)")
    parser.add_argument("--host-json", type=Path, default=Path("host.json"), help="host.json (%(default)s)")
    parser.add_argument("--auth", action="store_true", help="ask for function and admin keys")
    parser.add_argument(
        "--keys", type=Path, default=Path(".local/keys.json"), help="keys for --auth, made when missing"
    )
    parser.add_argument("--pid-file", type=Path, help="JSON file to keep the process ids in")
    return ServeOptions(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    options = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        for name, value in load_local_settings(options.app_root / "local.settings.json").items():
            os.environ.setdefault(name, value)
        return serve(
            options,
            on_ready=lambda url: print(f"Serving on {url}", file=sys.stderr, flush=True),
        )
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
