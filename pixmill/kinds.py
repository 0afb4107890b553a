"""What is to be known of job kinds by those who read no specs: looking at jobs must begin quickly."""

from collections.abc import Mapping
from typing import Any, Literal

DATASET_MAKERS = ("generate", "animate", "edit", "restore")  # that publish shards of images

OnBadImage = Literal["fail", "skip"]


def devices_of(spec: Mapping[str, Any]) -> int:
    """How many devices of one worker a job of this spec, as it is stored, takes at once."""
    return int(spec.get("devices", 1))
