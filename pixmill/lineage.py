"""What the lineage of a model version says of the version and the data that it came from, key by key."""

from collections.abc import Mapping
from typing import Any

PARENT = "parent"  # the version that training began with, if it was one
PARENT_DIGEST = "parent_digest"  # of its weights and architecture
IMAGES_BEFORE = "images_before"  # that its weights had learnt from
DATA = "data"  # what is kept of the data: `summary`, and `traces`, a file


def images_learnt(lineage: Mapping[str, Any], images_seen: int) -> int:
    """From how many images a version has learnt, those of the versions that it came from included.

    >>> images_learnt({}, 640), images_learnt({"images_before": 1000}, 640)
    (640, 1640)
    """
    return int(lineage.get(IMAGES_BEFORE, 0)) + images_seen
