"""Nothing lost, nothing doubled: real processes under a storm of faults, checked from database, disk and journals.

    python benchmarks/chaos.py [--faults 500] [--seed 1] [--database sqlite|postgresql]… [--json FILE]

Schedulers, workers, Valkey and the database are the product's and real; their clocks run fast (leases of 2.5 s). The
seed decides the order of the faults and what they pick, not the moment of a job that they hit. Ends with status 1
when any promise was broken; the home with the evidence is kept then.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # called by its path, Python looks beside this file alone

from benchmarks.machine import machine
from pixmill.times import write_time
from tests.faults.campaign import FAULTS_A_ROUND, FAULTS_A_SECOND, Campaign, Report
from tests.faults.plant import Kind

DATABASES: tuple[Kind, ...] = ("sqlite", "postgresql")


def main() -> None:
    """Run, print the tables, and write the JSON."""
    arguments = _arguments()
    reports = []
    chosen: Sequence[Kind] = arguments.database or DATABASES
    for kind in chosen:
        campaign = Campaign(
            kind,
            faults=arguments.faults // len(chosen),
            seed=arguments.seed,
            workers=arguments.workers,
            schedulers=arguments.schedulers,
            faults_a_round=arguments.round,
            faults_a_second=arguments.rate,
        )
        reports.append(campaign.run())
        print_report(reports[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(reports), indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if all(report.is_clean for report in reports) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.chaos", description="nothing lost, nothing doubled")
    parser.add_argument("--faults", type=int, default=500, help="in all, shared by the databases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--schedulers", type=int, default=2)
    parser.add_argument("--round", type=int, default=FAULTS_A_ROUND, help="faults before a full check and a fresh home")
    parser.add_argument("--rate", type=float, default=FAULTS_A_SECOND, help="faults a second")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _document(reports: list[Report]) -> dict[str, object]:
    return {
        "command": " ".join(["python benchmarks/chaos.py", *sys.argv[1:]]),
        "date": write_time(datetime.now(UTC)),
        "machine": machine(),
        "results": [asdict(report) for report in reports],
    }


def print_report(report: Report) -> None:
    """What was done, and what was found."""
    injected = sum(report.faults.values())
    rate = injected / max(report.seconds, 0.1)
    print(f"\n{report.database}, seed {report.seed}: {injected} faults in {report.seconds:g} s, {rate:.1f} a second")
    print(f"  with starts, rest and checks {report.total_seconds:g} s; {report.not_now} picks had nothing to hurt")
    for title, counts in (
        ("faults", report.faults),
        ("jobs", report.jobs),
        ("attempts", report.attempts),
        ("ends of supervised processes", report.deaths),
    ):
        print(f"  {title}")
        for name, count in counts.items():
            print(f"    {count:6}  {name}")
    for text in [*report.refused[:20], *report.rescues[:20]]:
        print(f"  noted: {text}")
    for text in report.violations[:50]:
        print(f"  VIOLATED {text}")
    for home in report.kept:
        print(f"  evidence in {home}")
    print(f"  {len(report.violations)} violations", flush=True)


if __name__ == "__main__":
    main()
