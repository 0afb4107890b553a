"""What the page of a pipeline run shows: plain frozen values, as those of a job's report are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reports.data import ImageSource, Series
from reports.gates import GateSection
from reports.levels import Level
from reports.summary import KeyFigure


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One step of the run; `began` and `took` are shares of its time, for a bar, and None before it has begun."""

    branch: str  # that leads to it
    name: str
    kind: str
    state: str
    job: int | None
    device: str
    began_at: datetime | None
    seconds: float | None
    why: str
    began: float | None = None
    took: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What came of one step; `missing` is the sentence that stands where there is nothing to show."""

    step: str
    job: int | None = None
    missing: str = ""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class GatePart(Part):
    """A verdict."""

    section: GateSection | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainPart(Part):
    """A training: its curves, what they are held against, and how its data differ from those before them."""

    losses: Sequence[Series] = ()
    quality: Series | None = None
    quality_missing: str = ""
    levels: Sequence[Level] = ()  # of the quality
    drift: Mapping[str, str] = field(default_factory=dict)
    drift_missing: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)  # class → images now
    counts_before: Mapping[str, int] = field(default_factory=dict)
    against: str = ""  # whose data were those before


@dataclass(frozen=True, kw_only=True, eq=False)
class DataPart(Part):
    """A data set."""

    facts: Mapping[str, object] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    counts_missing: str = ""
    sheet: ImageSource | None = None
    sheet_missing: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class LinePart:
    """The versions of a model by one measure; a series for each feature net, since figures of two do not compare."""

    name: str
    measure: str
    better: str
    series: Sequence[Series] = ()
    levels: Sequence[Level] = ()
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class NoticeRow:
    """One notification."""

    at: datetime
    text: str
    state: str


@dataclass(frozen=True, kw_only=True, eq=False)
class NightReport:
    """Everything that the page of a run shows."""

    run_id: int
    name: str
    when: str  # the time that it is for, by the clocks of its schedule
    state: str
    verdict: str
    timing: str  # late, a catch-up, by hand: in a sentence
    begun_at: datetime
    finished_at: datetime | None
    told_at: datetime
    figures: Sequence[KeyFigure] = ()
    steps: Sequence[StepRow] = ()
    gates: Sequence[GatePart] = ()
    trainings: Sequence[TrainPart] = ()
    data_sets: Sequence[DataPart] = ()
    lines: Sequence[LinePart] = ()
    absent: str = ""  # which of these the pipeline has no step for
    notices: Sequence[NoticeRow] = ()
    notices_missing: str = ""
    following: str = ""  # when it runs next
    params: Mapping[str, object] = field(default_factory=dict)
