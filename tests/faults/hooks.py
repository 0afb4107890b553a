"""What a test can do to a process of the product from inside: poison its files, shift its clock, arm a crash point.

The processes run the product's own code; a `sitecustomize` that only these tests put on their path comes before it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.waiting import wait_until

ABORTS = "aborts.png"  # whoever opens it aborts, as in a decoder with a bug
STARVES = "starves.png"  # whoever opens it is killed, as by the kernel where memory ends

_CODE = f"""
import os, signal, sys, threading, time

folder = os.environ["PIXMILL_TEST_HOOKS"]

def look(event, arguments):  # an audit hook sees every open() of the process, whatever library makes it
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        name = os.fspath(arguments[0])
        if name.endswith("{ABORTS}"):
            os.abort()
        if name.endswith("{STARVES}"):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(look)

def read(name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""

seconds = 0.0
real_time, real_time_ns = time.time, time.time_ns
time.time = lambda: real_time() + seconds
time.time_ns = lambda: real_time_ns() + int(seconds * 1e9)

def obey(orders):
    global seconds
    shift, _, label = orders.partition(" ")
    seconds = float(shift or 0)
    os.environ["PIXMILL_TEST_CRASH_MARK"] = os.path.join(folder, "crashed")
    os.environ["PIXMILL_TEST_CRASH_AT"] = label
    crashpoints = sys.modules.get("pixmill.crashpoints")
    if crashpoints is not None:  # it looks at the variables once
        crashpoints._reached.clear()
        crashpoints._armed.cache_clear()

    with open(os.path.join(folder, "heard-%d" % os.getpid()), "w", encoding="utf-8") as file:
        file.write(orders)

def listen(seen):
    while True:
        orders = read("orders")
        if orders != seen:
            seen = orders
            obey(seen)
        time.sleep(0.01)

first = read("orders")
obey(first)
threading.Thread(target=listen, args=(first,), daemon=True).start()
"""


@dataclass(frozen=True)
class Hooks:
    """The hooks of one process and its children."""

    folder: Path

    def prepare(self) -> dict[str, str]:
        """The variables under which the process has to start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sitecustomize.py").write_text(_CODE, encoding="utf-8")
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        return {"PYTHONPATH": path, "PIXMILL_TEST_HOOKS": str(self.folder)}

    def order(self, *processes: psutil.Process, seconds: float = 0.0, crash_at: str = "") -> None:
        """Shift the clock and arm a crash point, "" for none; returns once these processes obey."""
        if crash_at:
            self.mark.unlink(missing_ok=True)  # nothing is armed now; later it keeps the others alive
        orders = f"{seconds} {crash_at}"
        temporary = self.folder / "orders.new"
        temporary.write_text(orders, encoding="utf-8")
        was = self._orders()
        temporary.replace(self.folder / "orders")
        if orders != was:
            for process in processes:
                heard = self.folder / f"heard-{process.pid}"
                wait_until(lambda heard=heard: heard.exists() and heard.read_text(encoding="utf-8") == orders)  # type: ignore[misc]

    def _orders(self) -> str:
        path = self.folder / "orders"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def mark(self) -> Path:
        """The file that appears when a process has crashed where it was armed."""
        return self.folder / "crashed"
