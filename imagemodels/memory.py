"""Work that is done in batches as large as the device's memory allows."""

import ctypes
import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from imagemodels.errors import OutOfMemory

T = TypeVar("T")

log = logging.getLogger(__name__)

# torch's CPU allocator, the C++ runtime below it, and CUDA's libraries have no error class of their own. The last ones
# are all that oneDNN says when it gets no memory for its code or its scratchpad; with shapes that pass the checks of
# torch it has no other reason.
_PHRASES = (
    "can't allocate memory",
    "not enough memory",
    "std::bad_alloc",
    "out of memory",
    "ALLOC_FAILED",
    "could not create a primitive",
    "could not execute a primitive",
    "could not create a memory object",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` says that a device, or the host, has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def free_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more, and what torch keeps for later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        _trim_heap()


def _trim_heap() -> None:
    """Let the C library give back what it holds free: oneDNN asks the kernel for memory past it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc's own
        trim(0)


def in_batches_that_fit(
    work: Callable[[int], T],
    batch_size: int,
    what: str,
    device: torch.device,
    undo: Callable[[], None] | None = None,
) -> tuple[T, int]:
    """Return ``work(size)`` and the size: ``batch_size``, or half of it as often as the memory runs out.

    ``undo`` takes back what an attempt that ran out of memory had done. Raises OutOfMemory when one image at a time
    is too much.
    """
    tried: list[int] = []
    while True:
        size = -(-batch_size // 2 ** len(tried))
        tried.append(size)
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = _first_line(error)
        # Only here, where the error is gone, are the tensors free that its traceback held.
        if undo is not None:
            undo()
        free_memory(device)
        if size == 1:
            sizes = ", ".join(str(size) for size in tried)
            raise OutOfMemory(f"the memory of {device} does not hold {what}; tried batches of {sizes}: {reason}")
        log.warning("out of memory with batches of %d in %s; trying half: %s", size, what, reason)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
