"""Jobs that are asked for together: one by itself, or all that make an array."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from db.arrays import NewArray
from db.jobs import NewJob
from pixmill.errors import SpecError
from pixmill.specs import JobOptions, Spec

MOST_EDGES = 100_000  # dependencies of the jobs of one array on others

Request = tuple[Spec, JobOptions]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One job, or the jobs of an array by index; of an array the key is that of all, and no job has one of its own."""

    requests: Sequence[Request]
    indices: Sequence[int] | None = None  # None: no array
    limit: int | None = None  # of its jobs, that run at once
    array_key: str | None = None

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.array_key if self.indices is not None else self.requests[0][1].key

    @property
    def digest(self) -> str:
        """SHA-256 over indices and specs as they were asked for."""
        listed = zip(self.indices or (), (spec.digest() for spec, _options in self.requests), strict=True)
        return hashlib.sha256(" ".join(f"{index}:{digest}" for index, digest in listed).encode()).hexdigest()


def as_array(group: Group, new: Sequence[NewJob], *, user: str) -> list[NewJob]:
    """The group's jobs, as those of an array if it is one."""
    if group.indices is None:
        return list(new)
    array = NewArray(
        name=new[0].name,
        size=len(new),
        max_running=group.limit,
        key=group.array_key,
        digest=group.digest,
        user_name=user,
    )
    indexed = zip(new, group.indices, strict=True)
    return [replace(job, array=array, array_index=index) for job, index in indexed]


def refuse_too_many_edges(parents: int, jobs: int) -> None:
    """Raise SpecError where each of many jobs would wait for each of many others."""
    if parents * jobs > MOST_EDGES:
        raise SpecError(
            f"{jobs:,} jobs that wait for {parents:,} others each are {parents * jobs:,} dependencies; "
            f"{MOST_EDGES:,} are allowed",
            hint="let one job stand between: pixmill submit ping --after array:ID, and wait for that one",
        )
