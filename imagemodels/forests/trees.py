"""Trees that tell real rows from made ones, kept as nothing but their leaves.

Shapes: N real rows, and as many made ones; P features, L leaves, M nodes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]
Nodes = npt.NDArray[np.int64]

FAR = np.float32(1e4)  # standard deviations: as good as infinite, and still a number


@dataclass(frozen=True, slots=True)
class Tree:
    """The boxes that a tree cuts the space into, ``lower`` and ``upper`` (L, P), and in which of them each real row is.

    ``cells`` (N,) are numbers of leaves; no leaf is empty. Open sides end at ± FAR.
    """

    cells: Numbers
    lower: Rows
    upper: Rows

    @property
    def counts(self) -> Numbers:
        """The real rows (L,) of each leaf."""
        return np.bincount(self.cells, minlength=len(self.lower)).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a tree says of the rows that it did not learn from, which are numbered with the real ones first."""

    rows: Nodes
    reality: npt.NDArray[np.float64]


def undivided(rows: Rows) -> Tree:
    """Return the tree of one leaf."""
    open_side = np.full((1, rows.shape[1]), FAR, dtype=np.float32)
    return Tree(np.zeros(len(rows), dtype=np.int32), -open_side, open_side)


def grow(real: Rows, made: Rows, leaf_rows: int, seed: int) -> tuple[Tree, Verdict]:
    """Grow one tree of a random forest on a bootstrap of ``real`` and of ``made`` rows, (N, P) each.

    In the tree that is returned each leaf has at least ``leaf_rows`` real rows, if there are as many: where a cut would
    leave fewer on a side, it is taken back.
    """
    from sklearn.tree import DecisionTreeClassifier  # importing it takes a second, which other models need not wait

    random = np.random.default_rng(seed)
    drawn = np.concatenate([_bootstrap(len(real), random), len(real) + _bootstrap(len(made), random)])
    rows, is_real = np.concatenate([real, made]), np.arange(len(real) + len(made)) < len(real)
    # A cut asks for leaf_rows on each side, real or made, and is looked for among √P features.
    grower = DecisionTreeClassifier(
        max_features="sqrt", min_samples_leaf=leaf_rows, random_state=int(random.integers(2**31))
    )
    grower.fit(rows[drawn], is_real[drawn])
    unseen = np.setdiff1d(np.arange(len(rows)), drawn)
    reality = grower.predict_proba(rows[unseen])[:, 1] if len(unseen) else np.empty(0)
    return _leaves(grower.tree_, real, leaf_rows), Verdict(unseen, reality)


def _bootstrap(count: int, random: np.random.Generator) -> Nodes:
    return random.integers(0, count, count)


def _leaves(grown: Any, real: Rows, leaf_rows: int) -> Tree:
    """Part the space anew, from the root down, as far as both sides of a cut have real rows enough."""
    reached = grown.apply(real)
    is_cut = _kept_cuts(grown, reached, leaf_rows)
    lower, upper = np.full((2, grown.node_count, real.shape[1]), FAR, dtype=np.float32)
    lower = -lower
    leaf_of = np.arange(grown.node_count)  # the node at which the way down ends
    for node in range(grown.node_count):  # parents come before their children
        sides = grown.children_left[node], grown.children_right[node]
        if is_cut[node]:
            for side in sides:
                lower[side], upper[side] = lower[node], upper[node]
            upper[sides[0], grown.feature[node]] = lower[sides[1], grown.feature[node]] = grown.threshold[node]
        elif sides[0] >= 0:
            leaf_of[list(sides)] = leaf_of[node]
    leaves, cells = np.unique(leaf_of[reached], return_inverse=True)
    return Tree(cells.astype(np.int32), lower[leaves], upper[leaves])


def _kept_cuts(grown: Any, reached: Nodes, leaf_rows: int) -> npt.NDArray[np.bool_]:
    """Which nodes (M,) stay cut: those with real rows enough on either side, below others of that kind alone."""
    left, right = grown.children_left, grown.children_right
    counts = np.bincount(reached, minlength=grown.node_count)
    for node in range(grown.node_count - 1, -1, -1):  # children come after their parents
        if left[node] >= 0:
            counts[node] = counts[left[node]] + counts[right[node]]
    kept: npt.NDArray[np.bool_] = (left >= 0) & (np.minimum(counts[left], counts[right]) >= leaf_rows)
    for node in range(grown.node_count):
        if left[node] >= 0 and not kept[node]:
            kept[left[node]] = kept[right[node]] = False
    return kept
