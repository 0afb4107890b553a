"""Data sets that were registered under a name: how jobs refer to them, and what a job is given of one."""

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from pixmill.kinds import OnBadImage
from pixmill.names import NAME_PATTERN

DATASET_KEY = "dataset"  # of a task's parameters
ROLES = (DATASET_KEY, "examples", "style")  # what a spec may name data sets for; a task's parameters pin them alike
AGAINST_KEY = "against"  # of a train task's parameters: the version whose data its own are compared with
SHOWN_DIGITS = 12  # of a fingerprint, in `NAME@FINGERPRINT`

_REFERENCE = re.compile(rf"(?P<name>{NAME_PATTERN.strip('^$')})(?:@(?P<pin>[0-9a-f]{{8,64}}))?")


class DatasetReference(BaseModel):
    """A parsed `NAME`, or `NAME@FINGERPRINT`, where the first digits of the fingerprint will do."""

    model_config = ConfigDict(frozen=True)

    name: str
    pin: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reference that a text may be; None for a text like `folder:PATH` that cannot be one.

        >>> DatasetReference.parse("galaxies@1a2b3c4d")
        DatasetReference(name='galaxies', pin='1a2b3c4d')
        >>> DatasetReference.parse("folder:/data/galaxies") is None
        True
        """
        match = _REFERENCE.fullmatch(text)
        return None if match is None else cls(name=match["name"], pin=match["pin"])


class PinnedDataset(BaseModel):
    """What a task is given of a registered data set, so that its worker reads that very data or fails."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    source: str  # "folder:/data/galaxies"
    image_size: int  # pixels; a job may ask for another
    channels: int
    on_bad_image: OnBadImage
    images: int
    content_fingerprint: str  # the same at every size and number of channels

    @property
    def reference(self) -> str:
        """`NAME@FINGERPRINT`."""
        return f"{self.name}@{self.content_fingerprint[:SHOWN_DIGITS]}"

    @classmethod
    def of_task(cls, params: Mapping[str, Any], role: str = DATASET_KEY) -> Self | None:
        """What a task's parameters pin for that role, or None for a data set that was named by its place."""
        found = params.get(role)
        return None if found is None else cls.model_validate(found)
