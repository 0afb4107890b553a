"""How many images of each class a data set has, and of how many candidates they were chosen."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.shards import ShardRow

KEY_BYTES = 8  # of a hash: two of a million files share them once in 37 million such data sets
ALL = "all"  # images of a model without classes


@dataclass(frozen=True)
class Tally:
    """Counts by class number, None for images without a class; `is_chosen`: candidates could be rejected.

    `keys` are the first bytes of the hash of each file, where repeats are counted.
    """

    images: Counter[int | None]
    accepted: Counter[int | None]
    rejected: Counter[int | None]
    is_chosen: bool
    keys: "array[int]"  # Python 3.11 knows no other way to say it

    def counts(self, classes: Sequence[str]) -> dict[str, int]:
        """How many images there are of each class that has any."""
        return {name: self.images[number] for number, name in enumerate(classes) if self.images[number]}

    def choices(self, classes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Of each such class, how many images and candidates were accepted and rejected; nothing unless chosen."""
        if not self.is_chosen:
            return {}
        names: dict[int | None, str] = {**dict(enumerate(classes))} if classes else {None: ALL}
        return {name: self._of(number) for number, name in names.items() if self.images[number]}

    @property
    def warnings(self) -> list[str]:
        """What is to be said of images that are there more than once."""
        repeats = len(self.keys) - len(np.unique(np.frombuffer(self.keys, np.uint64)))
        return [f"{repeats:,} of {len(self.keys):,} images equal an earlier one of this data set"] if repeats else []

    def _of(self, number: int | None) -> dict[str, int]:
        accepted = self.accepted[number]
        return {
            "accepted": accepted,
            "rejected": self.rejected[number],
            "taken_anyway": self.images[number] - accepted,
        }


def tallied(rows: Iterable[ShardRow], choice: Mapping[str, Any] | None) -> Tally:
    """Count the rows of images that were chosen as the metadata say."""
    asked = choice or {}
    tries, counts_repeats = asked.get("max_tries"), "reject_duplicates" in asked
    tally = Tally(Counter(), Counter(), Counter(), is_chosen=tries is not None, keys=array("Q"))
    for row in rows:
        tally.images[row.label] += 1
        if counts_repeats:
            tally.keys.append(int.from_bytes(row.sha256[:KEY_BYTES], "little"))
        if row.choice is not None and tries is not None:
            tally.accepted[row.label] += row.choice.accepted
            # Of an image that was taken though none was good enough, all candidates had been rejected.
            tally.rejected[row.label] += row.choice.candidate if row.choice.accepted else tries
    return tally
