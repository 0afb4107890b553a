"""Steps of a pipeline as a tree."""

from collections.abc import Mapping, Sequence

BRANCH, LAST = "├─ ", "└─ "


def step_branches(after: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Each step with the branch that leads to it, below that of the steps it waits for which comes last.

    >>> step_branches({"train": [], "gate": ["train"], "bulk": ["train", "gate"], "report": ["train"]})
    [('', 'train'), ('├─ ', 'gate'), ('│  └─ ', 'bulk'), ('└─ ', 'report')]
    """
    below: dict[str | None, list[str]] = {}
    depths: dict[str, int] = {}
    for name, parents in after.items():
        parent = max(parents, key=lambda other: _depth(other, after, depths), default=None)
        below.setdefault(parent, []).append(name)
    return [pair for root in below.get(None, ()) for pair in _branches(root, "", "", below)]


def _depth(name: str, after: Mapping[str, Sequence[str]], depths: dict[str, int]) -> int:
    if name not in depths:
        depths[name] = 1 + max((_depth(other, after, depths) for other in after[name]), default=0)
    return depths[name]


def _branches(name: str, own: str, inherited: str, below: Mapping[str | None, Sequence[str]]) -> list[tuple[str, str]]:
    found = [(own, name)]
    children = below.get(name, ())
    for child in children:
        is_last = child == children[-1]
        branch = inherited + (LAST if is_last else BRANCH)
        found += _branches(child, branch, inherited + ("   " if is_last else "│  "), below)
    return found
