"""The machine on which a figure was taken, as every result says it."""

import os
import platform


def machine() -> dict[str, object]:
    """Processors, the load of the last minute, and the platform."""
    return {"cores": os.cpu_count(), "load": os.getloadavg()[0], "platform": platform.platform()}
