"""Lists this host's devices as JSON: `python -m worker.device.probe`. A process of its own, since it imports torch."""

import argparse
import ctypes
import json
from typing import Any

import torch

from worker.device.facts import device_facts


def main() -> None:
    """Print every CUDA device, or the CPU when there is none; with --details, also what torch and the drivers are."""
    parser = argparse.ArgumentParser(prog="worker.device.probe")
    parser.add_argument("--details", action="store_true")
    details = parser.parse_args().details
    print(json.dumps(host_details() if details else [{"name": name} for name in device_names()]))  # noqa: T201  its output is its purpose


def device_names() -> list[str]:
    """Every CUDA device, or the CPU when there is none."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]


def host_details() -> dict[str, Any]:
    """The build of torch, the CUDA versions (such as "12.8") of build and driver, and the devices."""
    return {
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "cuda_driver": driver_version(),
        "devices": [_device(number) for number in range(torch.cuda.device_count())] or [device_facts("cpu")],
    }


def _device(number: int) -> dict[str, Any]:
    found = torch.cuda.get_device_properties(number)
    return {"device": f"cuda:{number}", "kind": "cuda", "model": found.name, "memory_bytes": found.total_memory}


def driver_version() -> str | None:
    """The newest CUDA that the installed driver can run; None without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    number = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(number)) != 0:
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


if __name__ == "__main__":
    main()
