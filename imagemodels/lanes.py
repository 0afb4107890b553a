"""Batches on their way through a CUDA device, two at a time: one is copied to the host while the next is computed.

All that knows of streams, events, graphs and locked pages is here. Shapes: B images in a batch, Z latent size.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.memory import is_out_of_memory
from imagemodels.networks.architectures import Decoder
from imagemodels.places import Images, each_with_rows

Pixels = Callable[[Tensor, Tensor | None], Tensor]  # latents (B, Z) and labels (B,) to images (B, H, W, C), uint8

LANES = 2
WARM_UPS = 3  # batches before a graph is captured: libraries choose and load their kernels in the first ones

log = logging.getLogger(__name__)


class Lanes:
    """Makes batches of one size, by one graph that is captured once: no kernel is launched by Python any more.

    The graph runs the kernels that are launched without it, and its first batch is compared with theirs. Where
    it cannot be captured, or is not equal, a line is logged and the kernels are launched one by one.
    """

    def __init__(self, pixels: Pixels, network: Decoder, batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self._pixels = pixels
        self._computing, self._copying = (torch.cuda.Stream(device) for _ in range(2))  # type: ignore[no-untyped-call]
        spec = network.spec
        self._latents = torch.linspace(-2, 2, batch_size * spec.latent_size, device=device).view(batch_size, -1)
        self._labels = torch.zeros(batch_size, dtype=torch.int64, device=device) if spec.num_classes else None
        shape = (batch_size, spec.image_size, spec.image_size, spec.channels)
        self._lanes = [_Lane(self._latents, self._labels, shape) for _ in range(LANES)]
        self._turn = 0
        self._computing.wait_stream(torch.cuda.current_stream(device))  # which has filled all of these
        self._captured = self._capture()

    def start(
        self, places: Sequence[Images], latents: NDArray[np.float32], labels: NDArray[np.int64] | None
    ) -> Callable[[], None]:
        """Begin to make the images (N, H, W, C) of latents (N, Z) and labels (N,) into ``places``, of N in all.

        They are there when the function that is returned has been called.
        """
        copies = []
        for first in range(0, len(latents), self.batch_size):
            rows = slice(first, first + self.batch_size)
            part = list(parts_of(places, first, first + len(latents[rows])))
            copies.append(self._start(part, latents[rows], None if labels is None else labels[rows]))

        def wait() -> None:
            for copy in copies:
                copy.wait()

        return wait

    def settle(self) -> None:
        """Return when nothing is under way any more: only then may the memory be used for something else."""
        for lane in self._lanes:
            lane.copy.wait()

    def _start(
        self, places: Sequence[Images], latents: NDArray[np.float32], labels: NDArray[np.int64] | None
    ) -> "_Copy":
        lane = self._lanes[self._turn]
        self._turn = (self._turn + 1) % LANES
        lane.copy.wait()
        lane.put(latents, labels)
        with torch.cuda.stream(self._computing):
            self._latents.copy_(lane.latents, non_blocking=True)
            if self._labels is not None and lane.labels is not None:
                self._labels.copy_(lane.labels, non_blocking=True)
            lane.pixels.copy_(self._compute())
            computed = self._computing.record_event()
        with torch.cuda.stream(self._copying):
            self._copying.wait_event(computed)
            lane.take(places, self._copying)
        return lane.copy

    def _compute(self) -> Tensor:
        """Images (B, H, W, C) of the latents and labels that lie on the device; valid until the next ones."""
        if self._captured is None:
            return self._pixels(self._latents, self._labels)
        graph, made = self._captured
        graph.replay()
        return made

    def _capture(self) -> tuple[torch.cuda.CUDAGraph, Tensor] | None:
        """The graph, and where its images (B, H, W, C) appear; None: there is none."""
        with torch.cuda.stream(self._computing):  # the current one again afterwards, even if a capture fails
            for _ in range(WARM_UPS):
                expected = self._pixels(self._latents, self._labels)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, stream=self._computing):
                    made = self._pixels(self._latents, self._labels)
                graph.replay()
                if torch.equal(made, expected):
                    return graph, made
                reason = "its images are not the same"
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                reason = str(error).splitlines()[0]
        log.warning("no CUDA graph, kernels are launched one by one: %s", reason)
        return None


class _Copy:
    """A batch that is being copied to the host."""

    def __init__(self) -> None:
        self._event: torch.cuda.Event | None = None
        self._staged: list[tuple[Images, Tensor]] = []

    def add(self, place: Images, pixels: Tensor) -> None:
        """Begin to copy images (N, H, W, C) into locked pages."""
        torch.from_numpy(place).copy_(pixels, non_blocking=True)

    def add_staged(self, place: Images, pixels: Tensor, staging: Tensor) -> None:
        """Begin to copy images (N, H, W, C) past ``staging``, whose pages are locked: those of their place are not."""
        staging.copy_(pixels, non_blocking=True)
        self._staged.append((place, staging))

    def end_with(self, event: torch.cuda.Event) -> None:
        """Note what happens when all is copied."""
        self._event = event

    def wait(self) -> None:
        """Return when the images are in their places."""
        if self._event is not None:
            self._event.synchronize()
        for place, staging in self._staged:
            place[...] = staging.numpy()
        self._staged = []


class _Lane:
    """The memory of one batch: what it is made of, on the host, and its images, on both sides."""

    def __init__(self, latents: Tensor, labels: Tensor | None, shape: tuple[int, int, int, int]) -> None:
        self.latents = torch.zeros(latents.shape, pin_memory=True)
        self.labels = None if labels is None else torch.zeros(labels.shape, dtype=labels.dtype, pin_memory=True)
        self.pixels = torch.zeros(shape, dtype=torch.uint8, device=latents.device)
        self.copy = _Copy()

    def put(self, latents: NDArray[np.float32], labels: NDArray[np.int64] | None) -> None:
        """Fill it with latents (N, Z) and labels (N,), and zeros up to a whole batch."""
        for held, given in ((self.latents, latents), (self.labels, labels)):
            if held is not None and given is not None:
                held[: len(given)] = torch.from_numpy(given)
                held[len(given) :] = 0

    def take(self, places: Sequence[Images], stream: torch.cuda.Stream) -> None:
        """Begin to copy its images into ``places``, on this stream, which is the current one."""
        self.copy = _Copy()
        for place, rows in each_with_rows(places):
            if torch.from_numpy(place).is_pinned():
                self.copy.add(place, self.pixels[rows])
            else:
                self.copy.add_staged(place, self.pixels[rows], self._staging[rows])
        self.copy.end_with(stream.record_event())

    @cached_property
    def _staging(self) -> Tensor:
        """Locked pages for images whose own are not; made when they are first needed."""
        return torch.zeros(self.pixels.shape, dtype=torch.uint8, pin_memory=True)


def parts_of(places: Sequence[Images], start: int, stop: int) -> Iterator[Images]:
    """Those parts of arrays (N₁, H, W, C), (N₂, H, W, C), … that hold the images from ``start`` to ``stop`` of all.

    >>> [len(part) for part in parts_of([np.zeros((3, 1, 1, 1)), np.zeros((4, 1, 1, 1))], 2, 6)]
    [1, 3]
    """
    for place, rows in each_with_rows(places):
        part = place[max(0, start - rows.start) : max(0, stop - rows.start)]
        if len(part):
            yield part


def lock_pages(memory: Images) -> Callable[[], None]:
    """Keep memory where it is, so that a device copies straight into it; gives the function that lets go of it.

    Where the driver refuses, a line is logged, and images take the way past memory that is locked.
    """
    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    refused = runtime.cudaHostRegister(memory.ctypes.data, memory.nbytes, 0)
    if int(refused) != 0:
        log.warning("the pages of %d MB are not locked (CUDA error %s)", memory.nbytes // 2**20, int(refused))
        with suppress(RuntimeError):  # the refusal is kept, and would be taken for an error of the next kernel
            torch.zeros(1, device="cuda")
        return lambda: None

    def unlock() -> None:
        with suppress(RuntimeError):  # a context that is broken is of no use to anybody, and ends with its process
            torch.cuda.synchronize()
        runtime.cudaHostUnregister(memory.ctypes.data)

    return unlock
