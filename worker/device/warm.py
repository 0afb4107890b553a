"""What a device process keeps between tasks: the last models, so that the next task starts at once."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import torch

from imagemodels.export import load_model
from imagemodels.lanes import lock_pages
from imagemodels.memory import free_memory
from imagemodels.model import Model
from imagemodels.runtime import Runtime
from imagemodels.training.ranks import Ranks
from worker.device.facts import code_sha256
from worker.device.hands import Hands
from worker.device.scribes import Scribes

KEPT_MODELS = 2
SMALL_IMAGE = 32  # pixels a side


@dataclass
class WarmModels:
    """The most recently used models, by digest, precision and threads; and the processes that help with images.

    Made when a device process, or a rank, starts.
    """

    device: str  # torch's name: "cpu" or "cuda"
    most_threads: int
    most_scribes: int = 0
    hands: Hands | None = None  # of a CPU with several cores, unless it has scribes
    scribes: Scribes | None = None
    ranks: Ranks = field(default_factory=Ranks)  # the processes that share the running task
    code_sha256: str = field(default_factory=code_sha256)  # now, while the files are what this process has imported
    _threads: int = 1
    _models: OrderedDict[tuple[str, str, int], Model] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        if self.most_scribes:
            self.scribes = Scribes(self.most_scribes, lock_pages if self.device == "cuda" else None)
        elif self.device == "cpu" and self.most_threads > 1:
            self.hands = Hands(self.most_threads)

    @property
    def helpers(self) -> Hands | Scribes | None:
        """Processes that help with the images of generate tasks, and live on from task to task."""
        return self.hands or self.scribes

    def prepare(self, image_size: int, *, is_shared_out: bool = False) -> None:
        """Choose the CPU threads for images of this size (pixels a side), before anything is computed with them.

        One thread for small ones: their layers are so short that two threads wait for each other more than they work,
        and fall behind one as soon as another process wants a core. One as well where the work is shared out to
        processes of one thread each. The choice follows from size and work alone, so that a resumed run computes in
        the same order, bit for bit.
        """
        self._threads = 1 if image_size <= SMALL_IMAGE or is_shared_out else self.most_threads
        torch.set_num_threads(self._threads)

    def forget(self) -> None:
        """Free the memory of the device for other processes."""
        self._models.clear()
        free_memory(torch.device(self.device))

    def runtime(self, precision: str) -> Runtime:
        """The runtime of this process."""
        return Runtime(self.device, precision=precision, threads=self._threads if self.device == "cpu" else None)

    def get(self, folder: Path, digest: str, precision: str) -> Model:
        """The model in `folder`, loaded unless it is warm; it uses full batches.  Raises CorruptCheckpoint."""
        key = (digest, precision, self._threads)
        if key not in self._models:
            self._models[key] = load_model(folder, self.runtime(precision))
            while len(self._models) > KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        self._models[key].use_full_batches()
        return self._models[key]
