"""What a device process finds out about its device, and about itself."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from pixmill.errors import UserError
from worker.device.pinning import parse_device


def device_facts(name: str) -> dict[str, Any]:
    """Kind, model and memory of the pinned device.  Raises UserError when it is not there."""
    kind, _number = parse_device(name)
    if kind == "cpu":
        return {"device": name, "kind": kind, "model": _cpu_model(), "memory_bytes": _memory_bytes()}
    if not torch.cuda.is_available():
        raise UserError(
            f"device {name} was asked for, but torch finds no CUDA device here",
            hint="check nvidia-smi and that torch was built for CUDA; --device cpu works everywhere",
        )
    properties = torch.cuda.get_device_properties(0)
    return {"device": name, "kind": kind, "model": properties.name, "memory_bytes": properties.total_memory}


def prepare_torch(threads: int) -> None:
    """Set this process's thread counts; they can only be set before the first operation."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
