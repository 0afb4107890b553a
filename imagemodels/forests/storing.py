"""A forest on its way as named tensors, and back.

Shapes: N real rows, P features, T trees, L leaves of all trees.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from imagemodels.forests.adversary import Adversary, Votes
from imagemodels.forests.trees import Rows, Tree


def as_tensors(forest: Adversary) -> dict[str, Tensor]:
    """Return all of ``forest`` but its real rows."""
    return {
        "made": torch.from_numpy(forest.made),
        "reality": torch.from_numpy(forest.votes.reality),
        "voters": torch.from_numpy(forest.votes.voters),
        "has_converged": torch.tensor(forest.has_converged),
        "is_first": torch.tensor(forest.is_first),
        **_from_trees("standing", forest.standing, forest.real),
        **_from_trees("growing", forest.growing, forest.real),
    }


def from_tensors(stored: Mapping[str, Tensor], real: Rows) -> Adversary:
    """Return what ``as_tensors`` was given, with its real rows (N, P)."""
    return Adversary(
        real=real,
        made=stored["made"].numpy(),
        standing=_to_trees("standing", stored),
        growing=_to_trees("growing", stored),
        votes=Votes(stored["reality"].numpy(), stored["voters"].numpy()),
        has_converged=bool(stored["has_converged"]),
        is_first=bool(stored["is_first"]),
    )


def _from_trees(which: str, trees: Sequence[Tree], real: Rows) -> dict[str, Tensor]:
    """Cells (T, N), leaves of each tree (T,), boxes (L, P) twice."""
    no_boxes = real[:0]
    return {
        f"{which}_cells": torch.from_numpy(
            np.array([tree.cells for tree in trees], dtype=np.int32).reshape(-1, len(real))
        ),
        f"{which}_leaves": torch.tensor([len(tree.lower) for tree in trees], dtype=torch.int64),
        f"{which}_lower": torch.from_numpy(np.concatenate([no_boxes, *(tree.lower for tree in trees)])),
        f"{which}_upper": torch.from_numpy(np.concatenate([no_boxes, *(tree.upper for tree in trees)])),
    }


def _to_trees(which: str, stored: Mapping[str, Tensor]) -> list[Tree]:
    cells, leaves, lower, upper = (stored[f"{which}_{name}"].numpy() for name in ("cells", "leaves", "lower", "upper"))
    ends = [0, *leaves.cumsum().tolist()]
    return [
        Tree(cells[number], lower[start:stop], upper[start:stop]) for number, (start, stop) in enumerate(pairwise(ends))
    ]
