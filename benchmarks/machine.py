"""The machine on which a figure was taken, as every result says it."""

import argparse
import json
import os
import platform
from datetime import UTC, datetime


def machine() -> dict[str, object]:
    """Processors, the load of the last minute, and the platform."""
    return {"cores": os.cpu_count(), "load": os.getloadavg()[0], "platform": platform.platform()}


def document(arguments: argparse.Namespace, names: tuple[str, ...], results: object) -> dict[str, object]:
    """What a benchmark of models stores: when, with which of its arguments, on what, and what it found."""
    import torch

    from pixmill.times import write_time

    built = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    return {
        "date": write_time(datetime.now(UTC)),
        "settings": {name: getattr(arguments, name) for name in names},
        "machine": machine() | built,
        "results": results,
    }


def store(arguments: argparse.Namespace, names: tuple[str, ...], results: object) -> None:
    """Write the document to the file that `--json` names, if it names one."""
    if arguments.json:
        text = json.dumps(document(arguments, names, results), indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
