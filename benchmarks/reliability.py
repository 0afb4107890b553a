"""How fast the line heals, and how much goes through it: the figures that the design promises.

    python -m benchmarks.reliability [--database sqlite|postgresql|both] [--quick] [--only NAME,…] [--save FILE]

Everything is measured on real processes, a real Valkey and a real database under default settings, unless a figure's
docstring says otherwise.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import reliability_deaths as deaths
from benchmarks import reliability_orders as orders
from benchmarks import reliability_queues as queues
from benchmarks.machine import machine
from benchmarks.pickup import DATABASES
from benchmarks.reliability_figures import Figure, print_figure, print_head
from benchmarks.reliability_rates import throughput
from pixmill.times import write_time


@dataclass(frozen=True)
class Measurement:
    """What `--only` can name; `take(database, quick)` gives its figures."""

    name: str
    take: Callable[[str, bool], Iterator[Figure]]


def _throughput(kind: str, quick: bool) -> Iterator[Figure]:
    for workers in (2,) if quick else (2, 1, 3):
        yield throughput(kind, jobs=1000 if quick else 5000, workers=workers)


def _pick_up(kind: str, quick: bool) -> Iterator[Figure]:
    yield queues.pick_up(kind, jobs=20 if quick else 200)


def _submit(kind: str, quick: bool) -> Iterator[Figure]:
    yield queues.submit(kind, jobs=10_000, repetitions=1 if quick else 3)


def _tick(kind: str, quick: bool) -> Iterator[Figure]:
    heads: tuple[dict[str, int], ...] = ({}, {"blocked": 10_000}, {"arrays": 5})
    for head in heads[1:] if quick else heads:
        yield queues.tick(kind, waiting=100_000, ticks=20 if quick else 100, **head)


def _child_death(kind: str, quick: bool) -> Iterator[Figure]:
    yield deaths.child_death(kind, repetitions=3 if quick else 20)


def _host_death(kind: str, quick: bool) -> Iterator[Figure]:
    yield deaths.host_death(kind, leases=20 if quick else 100, within_seconds=10.0 if quick else 60.0)


def _drain(kind: str, quick: bool) -> Iterator[Figure]:
    yield deaths.drain(kind, repetitions=2 if quick else 10)


def _cancel(kind: str, quick: bool) -> Iterator[Figure]:
    yield orders.cancel(kind, repetitions=6 if quick else 20)


def _lost_wake_up(kind: str, quick: bool) -> Iterator[Figure]:
    yield orders.lost_wake_up(kind, rounds=1 if quick else 3, workers=3)


def _redis_gone(kind: str, quick: bool) -> Iterator[Figure]:
    yield orders.redis_gone(kind, repetitions=1 if quick else 10)


def _false_rescues(kind: str, quick: bool) -> Iterator[Figure]:
    yield orders.false_rescues(kind, seconds=40.0 if quick else 60.0, workers=3)


MEASUREMENTS = (
    Measurement("throughput", _throughput),
    Measurement("pick-up", _pick_up),
    Measurement("submit", _submit),
    Measurement("tick", _tick),
    Measurement("child-death", _child_death),
    Measurement("host-death", _host_death),
    Measurement("drain", _drain),
    Measurement("cancel", _cancel),
    Measurement("lost-wake-up", _lost_wake_up),
    Measurement("redis-gone", _redis_gone),
    Measurement("false-rescues", _false_rescues),
)


def main() -> None:
    """Measure, print the table, and write the JSON."""
    arguments = _arguments()
    chosen = DATABASES if arguments.database == "both" else (arguments.database,)
    print_head()
    figures = []
    for measurement in arguments.only or MEASUREMENTS:
        for kind in chosen:
            for figure in measurement.take(kind, arguments.quick):
                print_figure(figure)
                figures.append(figure)
    if arguments.save:
        arguments.save.write_text(json.dumps(_document(figures), indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.reliability", description="how fast the line heals")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    names = ", ".join(measurement.name for measurement in MEASUREMENTS)
    parser.add_argument("--only", type=_chosen, metavar="NAME,…", help=f"some of: {names}")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def _chosen(text: str) -> list[Measurement]:
    known = {measurement.name: measurement for measurement in MEASUREMENTS}
    unknown = [name for name in text.split(",") if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
    return [known[name] for name in text.split(",")]


def _document(figures: list[Figure]) -> dict[str, object]:
    return {
        "command": " ".join(["python -m benchmarks.reliability", *sys.argv[1:]]),
        "date": write_time(datetime.now(UTC)),
        "machine": machine(),
        "results": [{**asdict(figure), "met": figure.is_met} for figure in figures],
    }


if __name__ == "__main__":
    main()
