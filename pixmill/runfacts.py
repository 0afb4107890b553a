"""What the page of a pipeline run is made from: rows as plain values, which a worker hands to its device process."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pixmill.pipelines import REPORT
from pixmill.states import PipelineState, State, StepState


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VersionFacts(_Facts):
    """A version of a model: by what its training has measured it, and the data that it has learnt from."""

    reference: str  # "digits@7"
    metric_name: str | None
    metric_value: float | None
    dataset: str
    histogram: dict[str, int]  # class → images; empty without classes


class JobFacts(_Facts):
    """The job of a step."""

    id: int
    kind: str
    name: str
    state: State
    spec: dict[str, Any]
    result: dict[str, Any]  # of the task that completes it; empty until then
    folders: tuple[str, ...]  # of its attempts, in order of time; relative to the storage root
    device: str  # of the last attempt; empty before the first
    attempts: int  # of the task that took the most
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    made: VersionFacts | None = None  # by a train job
    compared: VersionFacts | None = None  # whose data those of a train job were compared with


class StepFacts(_Facts):
    """A step as it stands."""

    name: str
    kind: str
    after: tuple[str, ...]
    state: StepState
    reason: str | None
    message: str | None
    values: dict[str, Any]
    finished_at: datetime | None
    job: JobFacts | None

    @property
    def why(self) -> str:
        """Why it failed, was skipped, or did not promote; empty where there is nothing to explain."""
        told = ": ".join(part for part in (self.reason, self.message) if part)
        return told or str(self.values.get("reason", ""))


class Measured(_Facts):
    """What a gate has measured of a version: the mean over its seeds."""

    version: int
    metric: str  # "kid@cnn-1a2b3c4d": figures of two feature nets do not compare
    value: float


class LineFacts(_Facts):
    """A model that the run is about: who was champion when its first step began, who is now, and what was measured."""

    name: str
    before: VersionFacts | None
    now: int | None
    measured: tuple[Measured, ...]


class NoticeFacts(_Facts):
    """A notification about the run, its jobs, or its models meanwhile."""

    at: datetime
    text: str
    state: str
    tries: int
    error: str | None


class ScheduleFacts(_Facts):
    """The schedule that the run belongs to."""

    name: str
    next_for: str | None  # by the clocks of its zone, with their offset from UTC
    paused: bool
    jitter_seconds: float
    by_hand: str | None  # who asked for this run outside of the plan


class RunFacts(_Facts):
    """A run as it stands; one whose steps are all over but those that write its page counts as ended."""

    version: Literal[1] = 1
    id: int
    name: str
    state: PipelineState
    reason: str | None
    message: str | None
    scheduled_for: datetime
    scheduled_text: str  # by the clocks of the schedule's zone, with their offset from UTC
    begun_at: datetime
    finished_at: datetime | None
    told_at: datetime  # when this was read
    user: str
    params: dict[str, Any]
    steps: tuple[StepFacts, ...]
    lines: tuple[LineFacts, ...] = ()
    notices: tuple[NoticeFacts, ...] = ()
    schedule: ScheduleFacts | None = None

    @property
    def own_steps(self) -> list[StepFacts]:
        """All but those that write the page."""
        return [step for step in self.steps if step.kind != REPORT]

    def of_kind(self, *kinds: str) -> list[StepFacts]:
        """The steps of these kinds, in the order of the file."""
        return [step for step in self.steps if step.kind in kinds]
