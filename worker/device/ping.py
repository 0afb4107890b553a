"""A ping task goes through the whole line and does no work: an operator tests the line with it."""

import os
import time
from typing import Any

from worker.device.desk import Desk
from worker.device.warm import WarmModels


def run_ping(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Say who answers, and how many seconds after the assignment was read."""
    return {"device": warm.device, "pid": os.getpid(), "seconds": round(time.monotonic() - desk.began, 6)}
