"""What a device process keeps between tasks: the last models, so that the next task starts at once."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from imagemodels.classifier import Classifier
from imagemodels.export import load_model
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator

KEPT_MODELS = 2


@dataclass
class WarmModels:
    """The most recently used models, by digest and precision."""

    device: str  # torch's name: "cpu" or "cuda"
    threads: int
    _models: OrderedDict[tuple[str, str], Generator | Classifier] = field(default_factory=OrderedDict)

    def runtime(self, precision: str) -> Runtime:
        """The runtime of this process."""
        return Runtime(self.device, precision=precision, threads=self.threads if self.device == "cpu" else None)

    def get(self, folder: Path, digest: str, precision: str) -> Generator | Classifier:
        """The model in `folder`, loaded unless it is warm.  Raises CorruptCheckpoint."""
        key = (digest, precision)
        if key not in self._models:
            self._models[key] = load_model(folder, self.runtime(precision))
            while len(self._models) > KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return self._models[key]
