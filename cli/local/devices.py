"""Which devices get a worker: what was asked for, against what this host has."""

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any, Self

from pixmill.errors import PixmillError, UserError
from pixmill.interpreter import python_command, with_our_code
from worker.device.pinning import parse_device

AUTO = "auto"
_PROBE_SECONDS = 120.0  # importing torch from a cold disk takes its time


class DeviceProbe:
    """Lists this host's devices in a process of its own, since that imports torch; it works while others do.

    As a context manager it leaves no process behind.
    """

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            python_command("-m", "worker.device.probe", *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=with_our_code(os.environ),
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def names(self) -> tuple[str, ...]:
        """The devices, such as ("cuda:0", "cuda:1") or ("cpu",).  Raises PixmillError."""
        return tuple(device["name"] for device in self.answer())

    def answer(self) -> Any:
        """What the probe has printed.  Raises PixmillError."""
        try:
            output, complaint = self._process.communicate(timeout=_PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            raise PixmillError(f"the device probe gave no answer within {_PROBE_SECONDS:g} s") from None
        if self._process.returncode != 0:
            lines = complaint.strip().splitlines()
            raise PixmillError(f"the device probe failed: {lines[-1] if lines else self._process.returncode}")
        return json.loads(output)


def parse_devices(asked: Sequence[str]) -> tuple[str, ...]:
    """The asked-for devices, each once; none asked for means "auto".  Raises UserError.

    >>> parse_devices(["cpu:0", "cpu:1", "cuda:0"])
    ('cpu:0', 'cpu:1', 'cuda:0')
    >>> parse_devices([])
    ('auto',)
    """
    chosen = tuple(asked) or (AUTO,)
    for name in chosen:
        if name != AUTO:
            parse_device(name)
        if chosen.count(name) > 1:
            raise UserError(f"device {name} is named twice", hint="a device has one worker")
    if AUTO in chosen and len(chosen) > 1:
        raise UserError("auto means every device: it goes with no other name", hint="name the devices, or none")
    return chosen


def needs_probe(chosen: Sequence[str]) -> bool:
    """Whether the host must be asked; a CPU there always is."""
    return any(not _is_cpu(name) for name in chosen)


def match_devices(chosen: Sequence[str], present: Sequence[str]) -> tuple[str, ...]:
    """The devices to use out of those `present`.  Raises UserError for one that is not.

    >>> match_devices(["auto"], ["cuda:0", "cuda:1"])
    ('cuda:0', 'cuda:1')
    """
    if AUTO in chosen:
        return tuple(present)
    for name in chosen:
        if not _is_cpu(name) and name not in present:
            raise UserError(f"device {name} was asked for; this host has {', '.join(present)}", hint="--device auto")
    return tuple(chosen)


def _is_cpu(name: str) -> bool:
    return name != AUTO and parse_device(name)[0] == "cpu"
