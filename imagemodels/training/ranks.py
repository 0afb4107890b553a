"""One run on several devices: each rank, a process with a device of its own, learns from a share of every batch.

The first rank leads: it alone reads and writes states, measures, shows samples and decides what comes next, and tells
the others by an order before each step. In a step all ranks add up their gradients before each move of an optimizer,
so that they hold the same weights at all times.

The sums are asked for one by one, where torch's DistributedDataParallel would hang them on the backward pass: a
gradient penalty goes backwards twice, a discriminator is passed with its weights frozen, and a step has two optimizers
that move in turn. None of that has to be explained to hooks which there are none of.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import FileStore  # torch.distributed has it without saying so to type checkers

from imagemodels.errors import OutOfMemory, RankLost
from imagemodels.memory import is_out_of_memory

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

# The others wait for as long as the leader measures or writes; whether it hangs is for its own guard to judge.
LONGEST_WAIT = timedelta(days=30)


class Order(IntEnum):
    """What the leading rank has the others do."""

    END = 0
    TAKE_OVER = 1  # the state that follows
    STEP = 2


class OutOfMemoryElsewhere(MemoryError):
    """Another rank ran out of memory, so that this step is taken back by all."""


class Ranks:
    """The processes that share a run, as one of them sees them; without a group it is alone, and nothing is exchanged.

    Every method but ``share`` that all ranks call, in the same order, raises RankLost when one of them is gone.
    """

    def __init__(self, group: "ProcessGroup | None" = None) -> None:
        self._group = group
        self.rank = group.rank() if group is not None else 0
        self.count = group.size() if group is not None else 1
        self.is_amid_step = False  # the others wait for sums, and would take no order

    @classmethod
    def join(cls, folder: Path, rank: int, count: int, kind: str) -> "Ranks":
        """Meet the other ranks of this host in ``folder``, which nobody else may read; ``kind`` is "cpu" or "cuda".

        Sums of gradients go through NCCL on CUDA and through Gloo on the CPU, orders through Gloo. Raises RankLost.
        """
        backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
        store = FileStore(str(folder / "ranks"), count)
        with _named_loss():
            dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=LONGEST_WAIT)
        return cls(dist.group.WORLD)

    def share(self, images: int) -> slice:
        """Which of the images of a batch are this rank's: all have as many, or one more."""
        return slice(self.rank * images // self.count, (self.rank + 1) * images // self.count)

    def tell(self, order: Order) -> None:
        """Let the other ranks do something; for the leader."""
        self._from_leader(torch.tensor([order]))

    def hear(self) -> Order:
        """Wait for the leader's next order."""
        order = torch.tensor([Order.END])
        self._from_leader(order)
        return Order(int(order))

    def hand_over(self, content: bytes) -> None:
        """Let the other ranks take over a state; for the leader."""
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8)  # takes its memory before the others are told
        self.tell(Order.TAKE_OVER)
        self._from_leader(torch.tensor([len(content)]))
        self._from_leader(values)

    def take_over(self) -> bytes:
        """What the leader hands over."""
        size = torch.tensor([0])
        self._from_leader(size)
        content = torch.empty(int(size), dtype=torch.uint8)
        self._from_leader(content)
        return content.numpy().tobytes()

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Take a step together, in as many attempts as it needs: until it is over the others take no order."""
        self.is_amid_step = True
        try:
            yield
        except OutOfMemory:  # in all ranks alike, after the same attempts
            self.is_amid_step = False
            raise
        self.is_amid_step = False

    @contextmanager
    def attempting(self) -> Iterator[None]:
        """Try the step: where one rank runs out of memory, all take it back.

        What the failing rank says here is what the others ask for before their next sum, wherever in the step they
        are; it raises OutOfMemoryElsewhere there, which is caught as running out of memory is.
        """
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error) and not isinstance(error, OutOfMemoryElsewhere):
                self._any_has_failed(here=True)
            raise

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by the sum of those of all ranks, in place."""
        together = _flat(tensors)  # takes its memory before the others are asked
        if self._any_has_failed(here=False):
            raise OutOfMemoryElsewhere("another rank ran out of memory")
        self._sum(together)
        _spread(together, tensors)

    def end_step(self, statistics: Sequence[Tensor]) -> None:
        """Replace statistics, each rank's of its own share of the batch, by their mean, in place.

        Raises RankLost when another rank failed after the weights had moved here: that is not taken back. Once this
        rank has said that it has not failed nobody asks again, so that from there on nothing takes memory.
        """
        together = _flat(statistics) if statistics else None
        if self._any_has_failed(here=False):
            raise RankLost("another rank ran out of memory while it moved the weights")
        if together is not None:
            self._sum(together)
            _spread(together.div_(self.count), statistics)

    def _any_has_failed(self, *, here: bool) -> bool:
        if self._group is None:
            return False
        failed = torch.tensor([here], dtype=torch.int32)
        options = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp(dist.ReduceOp.MAX)
        with _named_loss():
            self._group.allreduce([failed], options).wait()
        return bool(failed)

    def _sum(self, tensor: Tensor) -> None:
        assert self._group is not None
        with _named_loss():
            self._group.allreduce([tensor], dist.AllreduceOptions()).wait()

    def _from_leader(self, tensor: Tensor) -> None:
        """Send the leader's numbers, on the CPU, to all others, in place."""
        assert self._group is not None
        with _named_loss():
            self._group.broadcast([tensor], dist.BroadcastOptions()).wait()


@contextmanager
def _named_loss() -> Iterator[None]:
    """Raise RankLost for what torch says when another process does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise RankLost(f"another rank of this run is gone: {reason}") from error


@torch.no_grad()
def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@torch.no_grad()
def _spread(together: Tensor, tensors: Sequence[Tensor]) -> None:
    """Put the numbers of ``_flat`` back where they came from."""
    for tensor, part in zip(tensors, torch.split(together, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view(tensor.shape))
