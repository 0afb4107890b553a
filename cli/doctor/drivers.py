"""Torch, the CUDA driver and this host's devices, as the device probe sees them."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.doctor.findings import Finding, ok, problem, warning
from client.fleet import Member
from client.wording import size

PART = "drivers"
KERNEL_DRIVER = Path("/proc/driver/nvidia/version")
INSTALL = "https://pytorch.org/get-started/locally names the build for a driver"


def examine_drivers(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether torch and driver fit each other; `facts` are what `worker.device.probe --details` prints."""
    build, driver = facts["cuda_build"], facts["cuda_driver"]
    models = ", ".join(f"{device['device']} {device['model']}" for device in facts["devices"])
    built = f"built for CUDA {build}" if build else "built for the CPU alone"
    has = f"the driver runs up to CUDA {driver}" if driver else "no CUDA driver"
    yield ok(PART, f"torch {facts['torch']}, {built}; {has}; {models}")
    finds_none = all(device["kind"] == "cpu" for device in facts["devices"])
    if not build and (driver or KERNEL_DRIVER.exists()):
        detail = "this host has an NVIDIA driver, and a torch that uses no GPU"
        yield warning(PART, detail, INSTALL)
    elif build and driver and _number(driver) < (_number(build)[0], 0):
        detail = f"torch was built for CUDA {build}, and the driver runs CUDA {driver} at most"
        yield problem(PART, detail, "update the NVIDIA driver, or install a torch for an older CUDA")
    elif build and driver and finds_none:
        detail = "there are a CUDA driver and a torch for CUDA, and torch finds no device"
        yield problem(PART, detail, "nvidia-smi; and look at CUDA_VISIBLE_DEVICES and the rights on /dev/nvidia*")


def _number(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)


def examine_served(facts: Mapping[str, Any], fleet: Sequence[Member]) -> Iterator[Finding]:
    """GPUs of this host that no worker serves."""
    here = socket.gethostname()
    known = {member.worker.device.name for member in fleet if member.worker.device.host == here}
    for device in facts["devices"]:
        if device["kind"] == "cuda" and device["device"] not in known:
            detail = f"{device['device']} ({device['model']}, {size(device['memory_bytes'])}) never had a worker"
            yield warning("devices", detail, f"pixmill worker start --device {device['device']}")
