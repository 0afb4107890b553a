"""Images that share a forest: those of a class, or of a part of it that k-means finds.

Shapes: N images, D values of an image, P components, G groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imagemodels.forests import storing
from imagemodels.forests.adversary import Adversary, density
from imagemodels.forests.components import Components, find_components
from imagemodels.options import ForestOptions
from imagemodels.random import step_seed
from imagemodels.training.prior import nearest_centres

Indices = npt.NDArray[np.int64]


@dataclass(slots=True)
class Group:
    """Some images of one class by their numbers, their components, and the forest that learns their scores."""

    label: int
    members: Tensor  # (N,), int64
    components: Components
    forest: Adversary

    def as_tensors(self) -> dict[str, Tensor]:
        """Return all of it as named tensors."""
        components = {"images": self.components.mean, "axes": self.components.axes}
        return {
            "label": torch.tensor(self.label),
            "members": self.members,
            **components,
            **storing.as_tensors(self.forest),
        }


class Grouping:
    """Finds the groups of uint8 images (N, D), in [-1, 1] ``batch_size`` at a time."""

    def __init__(self, pixels: Tensor, options: ForestOptions, seed: int, batch_size: int) -> None:
        self._pixels = pixels
        self._options = options
        self._seed = seed
        self._batch_size = batch_size

    def groups(self, classes: Sequence[Tensor]) -> Iterator[Group]:
        """Yield the groups of each class, which is given by the numbers of its images."""
        for label, members in enumerate(classes):
            for part, chosen in enumerate(self._parts(label, members)):
                components = self._components(chosen, f"components of {label}, {part}")
                rows = components.scores(self._pixels[chosen], self._batch_size).numpy()
                yield Group(label, chosen, components, Adversary.against(rows, self._seed_of(f"{label}, {part}")))

    def restored(self, stored: Mapping[str, Tensor]) -> Group:
        """Return the group that gave these tensors."""
        stored = {name: tensor.cpu() for name, tensor in stored.items()}
        components = Components(stored["images"], stored["axes"])
        rows = components.scores(self._pixels[stored["members"]], self._batch_size).numpy()
        return Group(int(stored["label"]), stored["members"], components, storing.from_tensors(stored, rows))

    def _parts(self, label: int, members: Tensor) -> list[Tensor]:
        """Part the images of a class by where they lie on its components, unequal as these are.

        A part has as many images as components at least: fewer would not span them.
        """
        if self._options.parts == 1:
            return [members]
        components = self._components(members, f"components of {label}")
        points = components.scores(self._pixels[members], self._batch_size) * components.axes.norm(dim=1)
        found = parted(points.double(), self._options.parts, self._options.components)
        return [members[chosen] for chosen in found]

    def _components(self, members: Tensor, purpose: str) -> Components:
        return find_components(
            self._pixels[members], self._options.components, self._seed_of(purpose), self._batch_size
        )

    def _seed_of(self, purpose: str) -> int:
        return step_seed(self._seed, 0, purpose)


def parted(points: Tensor, parts: int, smallest: int) -> list[Tensor]:
    """Return the numbers of the points (N, P) of each part, none empty, ``parts`` parts at most.

    A part of fewer than ``smallest`` points is given up, the smallest first: each of its points goes to the part whose
    mean is nearest.
    """
    part_N = nearest_centres(points, parts)
    while True:
        names, counts = torch.unique(part_N, return_counts=True)
        if len(names) == 1 or int(counts.min()) >= smallest:
            return [torch.nonzero(part_N == name).flatten() for name in names]
        given_up = names[counts.argmin()]
        leaving, staying = part_N == given_up, names[names != given_up]
        means = torch.stack([points[part_N == name].mean(0) for name in staying])
        part_N[leaving] = staying[torch.cdist(points[leaving], means).argmin(1)]


def arrays(groups: Sequence[Group], num_classes: int) -> dict[str, Tensor]:
    """Return the buffers of the decoder that draws from the standing forests of ``groups``, in the order of classes."""
    densities = [density(group.forest.standing, group.forest.real) for group in groups]
    sizes = torch.tensor([len(each.counts) for each in densities])
    labels = torch.tensor([group.label for group in groups])
    joined = {
        name: torch.from_numpy(np.concatenate([getattr(each, name) for each in densities]))
        for name in ("counts", "mean", "deviation", "lower", "upper")
    }
    return {
        **joined,
        "class_leaves": torch.zeros(max(1, num_classes), dtype=torch.int64).index_add_(0, labels, sizes),
        "leaf_groups": torch.repeat_interleave(torch.arange(len(groups), dtype=torch.int32), sizes),
        "images": torch.stack([group.components.mean for group in groups]),
        "axes": torch.stack([group.components.axes for group in groups]),
    }
