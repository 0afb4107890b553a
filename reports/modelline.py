"""What the page of a line of models shows: plain frozen values, as those of a job's report are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reports.data import Better, ImageSource, Series
from reports.levels import Level
from reports.summary import KeyFigure


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """One version: what it was made from, and what there is of it."""

    version: int
    aliases: Sequence[str]
    made_at: datetime
    job: int
    preset: str
    images_seen: int
    dataset: str
    fingerprint: str
    parent: str  # what its training began with; empty: the seed
    metric: str
    value: float | None
    files: str  # their size, or why there are none


@dataclass(frozen=True, kw_only=True)
class MoveRow:
    """One event of the line."""

    at: datetime
    who: str
    what: str
    alias: str
    before: int | None
    after: int | None
    why: str


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasureLine:
    """One measure over the versions; a series for each feature net and number of images: figures of two do not compare.

    Positions of the series are numbers of versions.
    """

    measure: str
    better: Better | None
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    is_asked: bool = False  # whether a gate holds it against something …
    asked: str = ""  # … and what, in a sentence


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One verdict, with what stood in the way of a better one."""

    job: int
    at: datetime | None
    model: str
    against: str
    verdict: str
    why: str


@dataclass(frozen=True, kw_only=True)
class MadeRow:
    """One data set that was made with versions of the line."""

    job: int
    kind: str
    name: str
    state: str
    at: datetime
    versions: Sequence[int]
    images: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class VersionPicture:
    """What one version makes of the noise that the others of its row were given, too."""

    version: int
    image: ImageSource
    note: str = ""  # such as "champion"


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureRow:
    """Pictures that compare; `told` says what they show, `left_out` which versions are not among them, and why."""

    title: str
    told: str
    pictures: Sequence[VersionPicture]
    left_out: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelReport:
    """Everything that the page of a line of models shows; versions and events the newest first."""

    name: str
    told_at: datetime
    verdict: str
    frozen: str = ""  # that it is, and why
    figures: Sequence[KeyFigure] = ()
    versions: Sequence[VersionRow] = ()
    moves: Sequence[MoveRow] = ()
    measures: Sequence[MeasureLine] = ()
    verdicts: Sequence[VerdictRow] = ()
    pictures: Sequence[PictureRow] = ()
    pictures_missing: str = ""
    made: Sequence[MadeRow] = ()
    newest: Mapping[str, object] = field(default_factory=dict)  # what is to be known of the newest version
    warnings: Sequence[str] = ()
