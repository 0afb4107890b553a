"""A hundred thousand hostile cases, in processes of their own: what must not happen is counted and shown.

    python -m benchmarks.fuzz [--cases 100000] [--seed 1] [--only NAME,…] [--json FILE]

The targets and what fails a case are in tests/fuzz/. The same seed gives the same cases. A process that ends by itself,
or hangs, is a finding of its target. Exit code 1 if there is any.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import store
from pixmill import __version__
from tests.fuzz.harness import run_target
from tests.fuzz.table import all_targets

ALL = 100_000
MEMORY_BYTES = 8_000_000_000  # of data, of one process


def main() -> None:
    """Run all targets, or one of them in this process."""
    arguments = _arguments()
    if arguments.alone is not None:
        _alone(arguments.alone, arguments.cases, arguments.seed)
        return
    began = time.monotonic()
    found = {name: _in_a_process(name, count, arguments.seed) for name, count in _shares(arguments).items()}
    cases = sum(tally["cases"] for tally in found.values())
    findings = sum(len(tally["findings"]) for tally in found.values())
    seconds = round(time.monotonic() - began, 1)
    print(f"{cases:,} cases, {findings} findings, {seconds:,.0f} s")
    counts = {"version": __version__, "cases": cases, "findings": findings, "seconds": seconds, "targets": found}
    store(arguments, ("seed",), counts, with_torch=False)
    sys.exit(1 if findings else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=ALL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args()


def _shares(arguments: argparse.Namespace) -> dict[str, int]:
    """Cases by target: as many in all as were asked for, in the proportion of the targets' shares."""
    targets = all_targets()
    names = arguments.only.split(",") if arguments.only else list(targets)
    whole = sum(targets[name].share for name in names)
    return {name: max(1, -(-targets[name].share * arguments.cases // whole)) for name in names}


def _in_a_process(name: str, cases: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.fuzz", "--alone", name, "--cases", str(cases), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        tally: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = done.stderr[-3000:]
        tally = {"cases": 0, "findings": [{"what": f"the process ended with {done.returncode}", "details": last}]}
    counts = f"{tally['cases']:>7,} cases  {tally.get('refused', 0):>7,} refused  {tally.get('seconds', 0):>7.1f} s"
    print(f"{name:12} {counts}  slowest {tally.get('slowest', 0):.2f} s  {len(tally['findings'])} findings", flush=True)
    for finding in tally["findings"]:
        print(f"    {finding['what']}, {finding.get('times', 1)} times: {finding.get('last', '')[:300]}")
        print(f"        {finding.get('where', '')}\n        {finding.get('case', '')[:200]}", flush=True)
    return tally


def _alone(name: str, cases: int, seed: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory(prefix="pixmill-fuzz-") as folder:
        tally = run_target(all_targets()[name], cases, seed, Path(folder))
    print(json.dumps(asdict(tally)))


if __name__ == "__main__":
    main()
