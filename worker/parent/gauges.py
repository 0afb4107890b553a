"""How busy a worker's devices are, and how much of their memory is taken, by whoever it is: the host's own figures.

A worker whose memory is limited tells of that. Of NVIDIA devices the driver's library (NVML) tells it, which needs no
CUDA context and no torch.
"""

import logging
from collections.abc import Callable, Sequence
from statistics import fmean

import psutil

from db.workers import Reading
from worker.allotment import memory_used_bytes
from worker.device.pinning import visible_devices
from worker.device.slots import parse_slot

log = logging.getLogger(__name__)


Gauge = Callable[[], Reading]


def gauge_of(device: str) -> Gauge | None:
    """What reads the devices of that name ("cpu", "cuda:0-3"); None, and a line in the log, where nothing can."""
    if parse_slot(device)[0] == "cpu":
        psutil.cpu_percent()  # the first look is the beginning of the next one
        return _read_cpu
    try:
        return _nvidia_gauge(visible_devices(device))
    except Exception as error:  # noqa: BLE001 - whatever a driver does, a worker works without being looked at
        log.warning("the device cannot be looked at", extra={"device": device, "reason": str(error)})
        return None


def _read_cpu() -> Reading:
    taken = memory_used_bytes()
    if taken is None:
        memory = psutil.virtual_memory()
        taken = memory.total - memory.available
    return Reading(psutil.cpu_percent() / 100, taken)


def _nvidia_gauge(names: Sequence[str]) -> Gauge:
    """Of the GPUs with these numbers or UUIDs, as CUDA_VISIBLE_DEVICES lists them."""
    import pynvml

    pynvml.nvmlInit()
    by_number, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
    handles = [by_number(int(name)) if name.isdecimal() else by_uuid(name) for name in names]

    def read() -> Reading:
        busy = [pynvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in handles]
        taken = [pynvml.nvmlDeviceGetMemoryInfo(handle).used for handle in handles]
        return Reading(fmean(busy) / 100, sum(taken))

    read()  # a device that cannot be read is found now
    return read
