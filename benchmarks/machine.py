"""The machine on which a figure was taken, as every result says it."""

import argparse
import json
import os
import platform
from datetime import UTC, datetime


def machine() -> dict[str, object]:
    """Processors, the load of the last minute, and the platform."""
    return {"cores": os.cpu_count(), "load": os.getloadavg()[0], "platform": platform.platform()}


def torch_facts() -> dict[str, object]:
    """What else decides how fast models are."""
    import torch

    return {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}


def document(
    arguments: argparse.Namespace, names: tuple[str, ...], results: object, *, with_torch: bool = True
) -> dict[str, object]:
    """What a benchmark stores: when, with which of its arguments, on what, and what it found."""
    from pixmill.times import write_time

    return {
        "date": write_time(datetime.now(UTC)),
        "settings": {name: getattr(arguments, name) for name in names},
        "machine": machine() | (torch_facts() if with_torch else {}),
        "results": results,
    }


def store(arguments: argparse.Namespace, names: tuple[str, ...], results: object, *, with_torch: bool = True) -> None:
    """Write the document to the file that `--json` names, if it names one."""
    if arguments.json:
        text = json.dumps(document(arguments, names, results, with_torch=with_torch), indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
