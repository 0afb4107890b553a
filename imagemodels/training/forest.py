"""Growing an adversarial random forest: a fit in rounds of trees, which can be left after any tree.

Each class has forests of its own. So an image is of its class by construction, and the trees need not find out what
the labels say already.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.errors import DataError
from imagemodels.forests.adversary import Adversary
from imagemodels.forests.groups import Group, Grouping, arrays
from imagemodels.networks.forest import ForestDecoder, ForestSpec
from imagemodels.options import ForestOptions
from imagemodels.random import diverted_seed, step_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Step
from imagemodels.training.run import Run
from imagemodels.training.stream import check_images, content_digest


class ForestFit(Run):
    """Grows the forests of ``config`` on uint8 ``images`` (N, C, H, W) with ``labels`` (N,) int64 when conditional.

    A step is one tree in each group of images. A round of ``trees`` steps shows the forests all images once: the budget
    bounds the rounds, and one at least is grown. Growing ends early when all groups have converged. Trees grow on the
    CPU whatever the device.
    Raises DataError when the images do not fit the configuration, and ConfigError when the components would take more
    memory than is allowed.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Tensor,
        labels: Tensor | None,
        runtime: Runtime,
        quality: Callable[[Generator], float] | None = None,
    ) -> None:
        super().__init__(config, runtime, quality, None)
        check_images(config, images, labels)
        assert isinstance(config.model.options, ForestOptions)
        self.options = config.model.options
        self.seed = config.seed
        self.data_digest = content_digest(images, labels)
        self._count = len(images)
        self._classes = _classes(config, labels if config.num_classes else torch.zeros(len(images), dtype=torch.int64))
        pixels = images.reshape(len(images), -1)
        self._grouping = Grouping(pixels, self.options, config.seed, config.effective_batch_size)
        self._found_groups: list[Group] | None = None

    @property
    def images_seen(self) -> int:
        """All images for each whole round, and their share of the round that is on its way."""
        return self.step * self._count // self.options.trees

    @property
    def total_images(self) -> int:
        """The budget rounded up to whole rounds, or what was enough: no forest sees through its made rows any more."""
        if all(group.forest.has_converged for group in self._groups):
            return self.images_seen
        return -(-self.config.images // self._count) * self._count

    @property
    def _groups(self) -> list[Group]:
        if self._found_groups is None:
            with self.runtime.activated():
                self._found_groups = list(self._grouping.groups(self._classes))
        return self._found_groups

    def tensors(self) -> dict[str, Any]:
        """The groups, with components, trees and made rows."""
        return {"groups": {str(number): group.as_tensors() for number, group in enumerate(self._groups)}}

    def fill(self, stored: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave."""
        with self.runtime.activated():
            self._found_groups = [self._grouping.restored(group) for group in stored["groups"].values()]

    def _advance(self) -> Step:
        started, before = time.perf_counter(), self.images_seen
        growing = [(number, group.forest) for number, group in enumerate(self._groups)]
        growing = [(number, forest) for number, forest in growing if not forest.has_converged]
        for number, forest in growing:
            forest.add_tree(self.options.leaf_images, self._seed_of(f"tree of {number}"))
        accuracy = _accuracy([forest for _, forest in growing])
        self.step += 1
        if self.step % self.options.trees == 0:
            for number, forest in growing:
                forest.end_round(self.options.tolerance, self._seed_of(f"rows of {number}"))
        self._meter.add({"accuracy": accuracy}, self.images_seen - before, time.perf_counter() - started)
        return Step(self.images_seen)

    def _is_due(self, last: int | None, every: int) -> bool:
        """At the end of a round alone: until then, the old trees stand."""
        return self.step % self.options.trees == 0 and super()._is_due(last, every)

    def _reseed(self) -> None:
        self.seed = diverted_seed(self.config.seed, self.diversions)

    def _seed_of(self, purpose: str) -> int:
        return step_seed(self.seed, self.step, purpose)

    def _present(self) -> nn.Module:
        return _decoder(self.config, arrays(self._groups, self.config.num_classes))

    def _restored(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return _decoder(self.config, weights)


def _classes(config: TrainConfig, labels: Tensor | None) -> list[Tensor]:
    """The numbers of each class's images."""
    assert labels is not None  # check_images has refused a conditional model without labels
    found = [torch.nonzero(labels == label).flatten() for label in range(max(1, config.num_classes))]
    for label, members in enumerate(found):
        if len(members) == 0:
            raise DataError(f"class {label} has no training images: a forest has nothing to grow from")
    return found


def _accuracy(forests: list[Adversary]) -> Tensor:
    """The share of rows that all forests together see through."""
    right = sum(forest.votes.right for forest in forests)
    counted = sum(forest.votes.counted for forest in forests)
    return torch.tensor(right / counted if counted else 0.5)


def _decoder(config: TrainConfig, weights: Mapping[str, Tensor]) -> ForestDecoder:
    groups, components, _values = weights["axes"].shape
    spec = ForestSpec(
        image_size=config.image_size,
        channels=config.channels,
        num_classes=config.num_classes,
        latent_size=1 + components,
        groups=groups,
        leaves=len(weights["counts"]),
    )
    decoder = ForestDecoder(spec)
    decoder.load_state_dict(weights)
    return decoder
