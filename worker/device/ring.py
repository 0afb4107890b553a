"""Memory that a device process shares with its scribes: slots for pixels, under no name that could be left behind."""

import mmap
import os
from typing import Self

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]


class Ring:
    """Slots of one size.  The kernel frees them with the last process that has them, however that ends."""

    def __init__(self, descriptor: int, slots: int, slot_bytes: int, *, writable: bool = False) -> None:
        """Map what another process has made; `descriptor` is that of its memory."""
        self.descriptor = descriptor
        self.slots, self.slot_bytes = slots, slot_bytes
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self.memory: Images = np.frombuffer(mmap.mmap(descriptor, slots * slot_bytes, access=access), np.uint8)

    @classmethod
    def create(cls, slots: int, slot_bytes: int) -> Self:
        """Make new ones, which take memory as they are written to."""
        descriptor = os.memfd_create("pixmill-ring")
        os.truncate(descriptor, slots * slot_bytes)
        return cls(descriptor, slots, slot_bytes, writable=True)

    def images(self, slot: int, shape: tuple[int, int, int, int]) -> Images:
        """The first images (N, H, W, C) of a slot, as the memory itself; they fit into it."""
        start = slot * self.slot_bytes
        size = int(np.prod(shape))
        assert size <= self.slot_bytes
        return self.memory[start : start + size].reshape(shape)

    def close(self) -> None:
        """Let go of the descriptor; the memory goes with the last array that is part of it."""
        os.close(self.descriptor)
        self.memory = self.memory[:0].copy()
