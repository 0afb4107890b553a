"""What a device process finds out about its device, and about itself."""

import hashlib
import platform
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from pixmill.errors import UserError
from worker.allotment import memory_bytes
from worker.device.slots import parse_slot

REPOSITORY = Path(__file__).parents[2]
CODE_ROOMS = ("imagemodels", "worker/device")  # what weights depend on


def device_facts(name: str) -> dict[str, Any]:
    """Kind, model and memory of the pinned devices.  Raises UserError when one is not there."""
    kind, numbers = parse_slot(name)
    if kind == "cpu":
        return {"device": name, "kind": kind, "model": _cpu_model(), "memory_bytes": memory_bytes()}
    if not torch.cuda.is_available():
        raise UserError(
            f"device {name} was asked for, but torch finds no CUDA device here",
            hint="check nvidia-smi and that torch was built for CUDA; --device cpu works everywhere",
        )
    if torch.cuda.device_count() < len(numbers):
        raise UserError(
            f"{len(numbers)} devices were asked for as {name}; torch finds {torch.cuda.device_count()} of them here",
            hint="nvidia-smi lists them",
        )
    found = [torch.cuda.get_device_properties(number) for number in range(len(numbers))]
    models = " + ".join(
        f"{count} × {model}" if count > 1 else model for model, count in Counter(p.name for p in found).items()
    )
    return {"device": name, "kind": kind, "model": models, "memory_bytes": sum(p.total_memory for p in found)}


def code_sha256() -> str:
    """SHA-256 over the source that trains, as it lies there now.

    A version number says nothing of what was changed on this host.
    """
    digest = hashlib.sha256()
    for room in CODE_ROOMS:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            digest.update(f"{path.relative_to(REPOSITORY)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def prepare_torch(threads: int) -> None:
    """Set this process's thread counts; they can only be set before the first operation."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
