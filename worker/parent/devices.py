"""Which device a worker takes when it is free to choose."""

import json
import os
import subprocess

from pixmill.errors import Unavailable
from pixmill.interpreter import python_command, with_our_code

AUTO = "auto"
PROBE_SECONDS = 120.0  # importing torch from a cold disk, and starting CUDA


def choose_device(name: str) -> str:
    """The name as it is, or for "auto" this host's first GPU, else the CPU.  Raises Unavailable if it cannot be told.

    Asks a process of its own, since only torch knows and this one never imports it.
    """
    if name != AUTO:
        return name
    command, environment = python_command("-m", "worker.device.probe"), with_our_code(os.environ)
    try:
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=PROBE_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        last_words = str(error.stderr or "").strip().splitlines()[-1:]
        reason = last_words[0] if last_words else str(error)
        raise Unavailable(f"this host's devices cannot be listed: {reason}", hint="name one: --device cpu") from error
    first: str = json.loads(found.stdout)[0]["name"]
    return first
