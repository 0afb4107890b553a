"""How a job is queued: none of it is part of its spec, nor hashed."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator

from pixmill.arrays import parse_array_reference
from pixmill.names import NAME_PATTERN
from pixmill.specs.base import Frozen
from pixmill.times import parse_time, write_time

DeviceClass = Literal["any", "cpu", "cuda"]

# A database looks for a key inside JSON by a path, where quotes, backslashes and control characters have a meaning.
LabelKey = Annotated[str, Field(pattern=r'^[^"\\\p{C}]{1,100}$')]


def _parent(value: Any) -> int | str:
    is_job = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63
    if not is_job and not (isinstance(value, str) and parse_array_reference(value) is not None):
        raise ValueError("write the id of a job, or array:12 for all jobs of an array")
    found: int | str = value
    return found


Parent = Annotated[int | str, PlainValidator(_parent)]


class JobOptions(Frozen):
    """How a job is queued; none of it changes what is computed."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None  # a train job's name is its model line
    queue: Annotated[str, Field(pattern=NAME_PATTERN)] = "default"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0  # larger runs first
    device: DeviceClass = "any"
    after: list[Parent] = Field(default_factory=list)  # jobs, and all those of arrays, that must end first
    after_policy: Literal["ok", "any"] = "ok"  # ok: they must succeed
    hold: bool = False
    begin: str | None = None  # RFC 3339, not earlier than
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = None  # same key, same job
    labels: dict[LabelKey, str] = Field(default_factory=dict)
    retries: Annotated[int, Field(ge=0, le=100)] = 2  # failures that may pass are tried again so often
    retry_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0  # before the first retry; doubles with each
    time_limit_seconds: Annotated[float, Field(gt=0, le=10**9)] | None = None  # of one attempt at one task

    @property
    def arrays_before(self) -> list[int]:
        """Arrays all of whose jobs must end first."""
        found = (parse_array_reference(one) for one in self.after if isinstance(one, str))
        return [array_id for array_id in found if array_id is not None]

    @field_validator("begin")
    @classmethod
    def _begin_has_a_zone(cls, begin: str | None) -> str | None:
        return begin if begin is None else write_time(parse_time(begin))
