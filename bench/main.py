"""`./bench/run`: both sides on one PostgreSQL in one run; a table, a JSON file and a chart."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.stack.errors import StackError
from local.stack.paths import Paths
from local.stack.progress import Progress

from .environments import HERE, PEERS, environment, folder
from .experiments import Experiments
from .our_side import OurSide
from .peer_side import PeerSide
from .report import report
from .servers import BenchServers, bench_servers
from .sides import Side
from .sizes import FULL, QUICK, Sizes
from .targets import OURS, OURS_POLLING
from .throughput import as_json, compare

EXPERIMENTS = (
    "transactions",
    "submission",
    "burst",
    "floor",
    "scaling",
    "listing",
    "cogs",
    "conversion",
    "small_rasters",
    "chunked",
    "catalog",
    "searches",
    "vectors",
)
PUBLISHED = "docs/benchmarks"
QUICK_EXPERIMENTS = ("transactions", "submission", "burst", "floor", "listing", "conversion", "searches")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one run."""
    parser = argparse.ArgumentParser(prog="./bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: under three minutes")
    parser.add_argument("--rounds", type=int, help="rounds of the comparison (5; with --quick 1)")
    parser.add_argument("--limit", type=float, help="longest time of one run, seconds (180; with --quick 40)")
    parser.add_argument("--sizes", type=_numbers, help="sizes of the comparison instead, such as 30,1000")
    parser.add_argument(
        "--peers", type=_words, default=PEERS, help="some of dbos,procrastinate,celery, or none"
    )
    parser.add_argument("--only", type=_words, help=f"parts to run: throughput,{','.join(EXPERIMENTS)}")
    parser.add_argument(
        "--profile", action="store_true", help="ours alone, with the statements that take longest"
    )
    parser.add_argument("--publish", action="store_true", help="copy results and chart to docs/benchmarks/")
    parser.add_argument(
        "--again", action="store_true", help="beside what is published, the parts of --only measured anew"
    )
    options = parser.parse_args(arguments)
    if unknown := {*options.peers} - {*PEERS}:
        parser.error(f"--peers: {', '.join(sorted(unknown))}?")
    if options.again and not options.only:
        parser.error("--again: which parts? say so with --only")
    if unknown := {*(options.only or ())} - {"throughput", *EXPERIMENTS}:
        parser.error(f"--only: {', '.join(sorted(unknown))}?")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit code."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    paths, progress = Paths(), Progress()
    try:
        return _profile(options, paths, progress) if options.profile else _measure(options, paths, progress)
    except StackError as error:
        progress.say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else FULL
    if options.rounds:
        sizes = replace(sizes, rounds=options.rounds)
    if options.limit:
        sizes = replace(sizes, limit=options.limit)
    if options.sizes:
        small = tuple(n for n in options.sizes if n in FULL.polling)
        peers = tuple(n for n in options.sizes if n <= max(FULL.peers))
        sizes = replace(sizes, ours=options.sizes, peers=peers, polling=small)
    return sizes


def _measure(options: argparse.Namespace, paths: Paths, progress: Progress) -> int:
    sizes = _sizes(options)
    folder(paths).mkdir(parents=True, exist_ok=True)
    pythons = {name: environment(name, paths, progress) for name in options.peers}
    chart_python = environment("chart", paths, progress)
    results: dict[str, Any] = {"machine": _machine(paths), "sizes": asdict(sizes)}
    parts = options.only or ("throughput", *(QUICK_EXPERIMENTS if options.quick else EXPERIMENTS))
    with bench_servers(paths, progress, with_redis="celery" in pythons, profiling=False) as servers:
        ours = _ours(OURS, paths, servers)
        polling = _ours(OURS_POLLING, paths, servers, polling=0.1)
        logs = folder(paths) / "logs"
        peers = [PeerSide(name, python, servers, logs) for name, python in pythons.items()]
        results["throughput"] = {"runs": {}, "given_up": {}}
        if "throughput" in parts:
            sides: list[tuple[Side, Sequence[int]]] = [(ours, sizes.ours), (polling, sizes.polling)]
            sides += [(peer, sizes.peers) for peer in peers]
            results["throughput"] = as_json(compare(sides, sizes.rounds, sizes.limit, progress))
        experiments = Experiments(ours, peers, servers, sizes, progress)
        results |= experiments.run([name for name in EXPERIMENTS if name in parts])
    if options.again:
        published = json.loads((paths.root / PUBLISHED / "results.json").read_text())
        results = measured_again(published, results, parts)
    _write(results, paths, chart_python, publish=options.publish)
    return 0


def _ours(name: str, paths: Paths, servers: BenchServers, polling: float | None = None) -> OurSide:
    return OurSide(name, servers, paths.root, folder(paths), polling)


def _profile(options: argparse.Namespace, paths: Paths, progress: Progress) -> int:
    """Run our side alone and print the statements that took longest, those within functions too."""
    folder(paths).mkdir(parents=True, exist_ok=True)
    with bench_servers(paths, progress, with_redis=False, profiling=True) as servers:
        side = _ours(OURS, paths, servers)
        for n in options.sizes or (1_000,):
            try:
                side.start()
                side.rows("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
                side.rows("SELECT pg_stat_statements_reset()")
                with progress.step(f"n = {n:,}"):
                    seconds = side.run(n, 1, FULL.limit)
                rows = side.rows((HERE / "profile.sql").read_text())
            finally:
                side.stop()
            print(f"\nn = {n:,}: {seconds:.2f} s\n   calls   total ms   mean ms  top  statement")
            for calls, total, mean, top, query in rows:
                text = " ".join(query.split())[:150]
                print(f"{calls:8} {total:10.1f} {mean:9.3f}  {'*' if top else ' '}   {text}")
    return 0


def measured_again(
    published: dict[str, Any], results: dict[str, Any], parts: Sequence[str]
) -> dict[str, Any]:
    """What is published, with these parts replaced; each of them keeps when and of what it was measured."""
    anew = {name: results[name] for name in parts if name in results}
    again = {**published.get("again", {}), **dict.fromkeys(anew, results["machine"])}
    return {**published, **anew, "again": again}


def _machine(paths: Paths) -> dict[str, object]:
    git = ["git", "-C", str(paths.root), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def _write(results: dict[str, Any], paths: Paths, chart_python: Path, *, publish: bool) -> None:
    home = folder(paths)
    files = {name: home / name for name in ("results.json", "results.md", "chart.png")}
    files["results.json"].write_text(json.dumps(results, indent=1) + "\n")
    text = report(results)
    files["results.md"].write_text(text)
    drawn = bool(results["throughput"]["runs"])
    command = [str(chart_python), str(HERE / "chart.py"), str(files["results.json"]), str(files["chart.png"])]
    if drawn:
        subprocess.run(command, check=True)
    else:
        del files["chart.png"]
    print(f"\n{text}\nWritten: {', '.join(str(file) for file in files.values())}")
    if publish:
        target = paths.root / PUBLISHED
        target.mkdir(parents=True, exist_ok=True)
        for file in files.values():
            shutil.copyfile(file, target / file.name)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number.replace("_", "")) for number in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(text.split(","))


if __name__ == "__main__":
    sys.exit(main())
