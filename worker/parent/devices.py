"""Which devices this host has, and which of them a worker takes that is free to choose."""

import json
import os
import subprocess
from typing import Any, Self

from pixmill.errors import Unavailable
from pixmill.interpreter import python_command, with_our_code
from pixmill.settings import Settings
from worker.allotment import cores
from worker.device.slots import parse_slot, slot_name

AUTO = "auto"
MOST_ENCODERS = 16  # that are started where nobody has said how many
PROBE_SECONDS = 120.0  # importing torch from a cold disk, and starting CUDA


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
        """The devices, such as ("cuda:0", "cuda:1") or ("cpu",).  Raises Unavailable."""
        return tuple(device["name"] for device in self.answer())

    def answer(self) -> Any:
        """What the probe has printed.  Raises Unavailable."""
        try:
            output, complaint = self._process.communicate(timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._silence(f"no answer within {PROBE_SECONDS:g} s") from None
        if self._process.returncode != 0:
            lines = complaint.strip().splitlines()
            raise self._silence(lines[-1] if lines else f"the probe ended with {self._process.returncode}")
        return json.loads(output)

    @staticmethod
    def _silence(reason: str) -> Unavailable:
        return Unavailable(f"this host's devices cannot be listed: {reason}", hint="name one: --device cpu")


def threads_of(settings: Settings) -> int:
    """How many CPU threads a device process may use."""
    return settings.worker.threads or cores()


def encoders_of(settings: Settings, device: str) -> int:
    """How many processes a device process may start that write shards; `device` is the name of one or several."""
    if settings.worker.encoders is not None:
        return settings.worker.encoders
    kind, _ = parse_slot(device)
    return 0 if kind == "cpu" else min(MOST_ENCODERS, max(1, cores() - 1))


def choose_device(name: str) -> str:
    """The name at its shortest; for "auto" this host's first GPU, else the CPU.

    Raises UserError for what is no device, and Unavailable if it cannot be told.
    """
    if name != AUTO:
        return slot_name(name)
    with DeviceProbe() as probe:
        return probe.names()[0]
