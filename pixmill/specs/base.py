"""What the specs of all kinds have in common.

A spec is versioned JSON that is the same in a file, in the database and on a worker.
"""

import hashlib
import json
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

SPEC_VERSION = 1

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Part = Literal["held-out", "all"]  # of a data set
Precision = Literal["fp32", "bf16", "auto"]
JobId = Annotated[int, Field(ge=1, lt=2**63)]
ImageCount = Annotated[int, Field(ge=1, le=10**12)]


class Frozen(BaseModel):
    """Values that were checked once, and stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BaseSpec(Frozen):
    """What a job computes, whatever its kind."""

    # Fields that the kind has got since its first jobs were stored: not given, they leave the digest as it was.
    added: ClassVar[frozenset[str]] = frozenset()

    version: Literal[1] = 1
    seed: Seed = 0

    def digest(self) -> str:
        """SHA-256 over the canonical JSON, 64 hex digits: equal specs, equal digest."""
        left_out = {name for name in self.added if getattr(self, name) is None}
        text = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
