"""One adversarial random forest (Watson, Blesch, Kapar and Wright, arXiv 2205.09435, algorithm 1).

Rows are made, trees learn to tell them from real ones, new rows are made in the leaves of those trees, feature by
feature, and so on, until the trees cannot tell any more: then the features of a leaf are independent, or nearly so.

Shapes: N real rows, P features, L leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from imagemodels.forests.trees import Numbers, Rows, Tree, Verdict, grow, undivided

SMALLEST_DEVIATION = np.float32(1e-3)  # of a feature within a leaf, where that of all rows is 1


@dataclass(slots=True)
class Votes:
    """What trees said of the rows that they had not learnt from, real ones first, (2N,) each."""

    reality: npt.NDArray[np.float64]
    voters: npt.NDArray[np.int64]

    @classmethod
    def none(cls, count: int) -> "Votes":
        """No tree has voted on ``count`` real rows and as many made ones."""
        return cls(np.zeros(2 * count), np.zeros(2 * count, dtype=np.int64))

    def add(self, verdict: Verdict) -> None:
        """Add what one more tree says."""
        self.reality[verdict.rows] += verdict.reality
        self.voters[verdict.rows] += 1

    @property
    def right(self) -> float:
        """Of how many rows the majority is right; of a tie, half."""
        margin = np.sign(2 * self.reality - self.voters)  # 1: taken for real
        margin[len(margin) // 2 :] *= -1
        return float((margin[self.voters > 0] + 1).sum() / 2)

    @property
    def counted(self) -> int:
        """On how many rows there was a vote."""
        return int((self.voters > 0).sum())


@dataclass(slots=True)
class Adversary:
    """A forest on its way: the trees that stand, those that grow, and the rows that these shall see through.

    Before the first forest stands, rows are made of the features of all rows, as if there was one leaf.
    """

    real: Rows
    made: Rows
    standing: list[Tree]
    growing: list[Tree] = field(default_factory=list)
    votes: Votes = field(default_factory=lambda: Votes.none(0))
    has_converged: bool = False
    is_first: bool = True  # no forest stands yet

    @classmethod
    def against(cls, real: Rows, seed: int) -> "Adversary":
        """Begin with rows (N, P) that are real."""
        standing = [undivided(real)]
        return cls(real, made_rows(standing, real, seed), standing, votes=Votes.none(len(real)))

    def add_tree(self, leaf_rows: int, seed: int) -> None:
        """Let one more tree grow."""
        tree, verdict = grow(self.real, self.made, leaf_rows, seed)
        self.growing.append(tree)
        self.votes.add(verdict)

    @property
    def accuracy(self) -> float:
        """The share of rows that growing trees see through, each judged by trees that did not learn from it."""
        return self.votes.right / self.votes.counted if self.votes.counted else 0.5

    def end_round(self, tolerance: float, seed: int) -> None:
        """Let the grown trees stand, and make new rows in their leaves; or, if they were no good, be done.

        The first forest always stands: what it was to see through are the marginal distributions.
        """
        self.has_converged = not self.is_first and self.accuracy <= 0.5 + tolerance
        if not self.has_converged:
            self.standing = self.growing
            self.made = made_rows(self.standing, self.real, seed)
        self.is_first, self.growing, self.votes = False, [], Votes.none(len(self.real))


def made_rows(trees: Sequence[Tree], real: Rows, seed: int) -> Rows:
    """Return as many made rows (N, P): each from a leaf that is drawn with its share of the real rows.

    Each feature comes from some real row of the leaf, whatever the other features are.
    """
    random = np.random.default_rng(seed)
    made = np.empty_like(real)
    tree_of = random.integers(0, len(trees), len(real))
    for number, tree in enumerate(trees):
        chosen = np.flatnonzero(tree_of == number)
        leaves = tree.cells[random.integers(0, len(real), len(chosen))]
        order, counts = np.argsort(tree.cells, kind="stable"), tree.counts
        first = (np.cumsum(counts) - counts)[leaves, None]
        within = (random.random((len(chosen), real.shape[1])) * counts[leaves, None]).astype(np.int64)
        made[chosen] = np.take_along_axis(real, order[first + within], axis=0)
    return made


@dataclass(frozen=True, slots=True)
class Density:
    """Leaves (L,) with their real rows, and in each, independently for each feature (L, P), a truncated normal.

    ``mean`` and ``deviation`` are those of the leaf's real rows; ``lower`` and ``upper`` are its box.
    """

    counts: Numbers
    mean: Rows
    deviation: Rows
    lower: Rows
    upper: Rows


def density(trees: Sequence[Tree], real: Rows) -> Density:
    """Return what FORDE (arXiv 2205.09435, section 4.1) makes of the leaves of ``trees``."""
    moments = [_moments(tree, real) for tree in trees]
    return Density(
        counts=np.concatenate([tree.counts for tree in trees]),
        mean=np.concatenate([mean for mean, _ in moments]),
        deviation=np.concatenate([deviation for _, deviation in moments]),
        lower=np.concatenate([tree.lower for tree in trees]),
        upper=np.concatenate([tree.upper for tree in trees]),
    )


def _moments(tree: Tree, real: Rows) -> tuple[Rows, Rows]:
    counts = tree.counts[:, None]
    order = np.argsort(tree.cells, kind="stable")
    first = np.cumsum(tree.counts) - tree.counts
    sorted_rows = real[order].astype(np.float64)
    mean = np.add.reduceat(sorted_rows, first) / counts
    squares = np.add.reduceat((sorted_rows - mean[tree.cells[order]]) ** 2, first)
    deviation = np.sqrt(squares / np.maximum(counts - 1, 1)).astype(np.float32)
    return mean.astype(np.float32), np.maximum(deviation, SMALLEST_DEVIATION)
