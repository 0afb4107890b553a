"""What must be settled before torch is imported: die with the parent, hold the device, see only that device.

Imports nothing but the standard library: CUDA reads its variables once, at the first import that touches it.
"""

import ctypes
import fcntl
import os
import signal
import time
from pathlib import Path

from pixmill.errors import Conflict
from worker.device.slots import parse_slot

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up now: between fork and exec nothing may take a lock
_LOCK_WAIT = 15.0  # seconds that a killed predecessor may take to let go of the device


def environment_for(name: str, threads: int) -> dict[str, str]:
    """The variables under which a device process starts: it sees its own devices and no other."""
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": ",".join(visible_devices(name)),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin at OpenMP's barriers all but stand still as soon as anything else wants a core.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def visible_devices(name: str) -> list[str]:
    """What the driver calls the GPUs of that name: numbers or UUIDs, "-1" for one that this process was not given."""
    kind, numbers = parse_slot(name)
    if kind != "cuda":
        return []
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is None:
        return [str(number) for number in numbers]
    listed = inherited.split(",")  # empty: it was given none
    return [listed[number] if number < len(listed) else "-1" for number in numbers]


def see_only(rank: int) -> None:
    """Let this process, which torch must not be imported in yet, see one alone of the devices it was started with."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = listed[rank] if rank < len(listed) else ""


def close_input() -> None:
    """Let standard input be empty from now on."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies; at once, if it died already.  It lasts beyond exec."""
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def hold_device(path: Path) -> int:
    """Lock the device's file for as long as this process lives; gives the descriptor to keep.

    Raises Conflict when another process keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise Conflict(
                    f"device {path.stem} is held by process {holder or '?'}",
                    hint="a device belongs to one worker; give this one another --device",
                ) from None
            time.sleep(0.05)  # the kernel has no flock with a time limit
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
