"""Which images are held out, decided by content so that the decision survives renaming and another image size."""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

HELD_OUT_SHARE = 0.2


def content_split(
    content_digests: Iterable[str], labels: Indices | None, seed: int, share: float = HELD_OUT_SHARE
) -> tuple[Indices, Indices]:
    """Hold out a share of every class, chosen by a hash of seed and content.

    Equal contents of one class always land on the same side, so that a duplicate cannot leak from training into the
    test. A class of a single content stays in training.

    Returns sorted (train_indices, test_indices), int64, that together are all N.
    """
    keys = _keys(seed, content_digests)
    groups = np.zeros(len(keys), dtype=np.int64) if labels is None else labels
    held_out = [_held_out_of(keys, np.flatnonzero(groups == group), share) for group in np.unique(groups)]
    test_indices = np.sort(np.concatenate(held_out)).astype(np.int64)
    train_indices = np.setdiff1d(np.arange(len(keys), dtype=np.int64), test_indices)
    return train_indices, test_indices


def _keys(seed: int, content_digests: Iterable[str]) -> npt.NDArray[np.bytes_]:
    """The sha256 of seed and content for each image; they sort as their hexadecimal digits do."""
    sums = bytearray()
    for digest in content_digests:
        sums += hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return np.frombuffer(bytes(sums), dtype=f"S{hashlib.sha256().digest_size}")


def _held_out_of(keys: npt.NDArray[np.bytes_], members: Indices, share: float) -> Indices:
    order = members[np.argsort(keys[members], kind="stable")]
    wanted = max(1, round(share * len(order)))
    sorted_keys = keys[order]
    changes = np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1  # cuts that part no equal contents
    if len(changes) == 0:
        return order[:0]
    cut = int(changes[np.argmin(np.abs(changes - wanted))])
    return order[:cut]
