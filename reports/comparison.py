"""One self-contained HTML page for two models, their numbers side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reports.data import ImageSource, MetricLine
from reports.images import PictureBudget
from reports.pages import fill, write_page

MAX_PICTURE_BYTES = 9_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedModel:
    """One of the two, with what is to be known of it and of its evaluation."""

    name: str
    facts: Mapping[str, object] = field(default_factory=dict)
    picture: ImageSource | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ControlMark:
    """A control: its mark (`real`, `copies` or `noise`), the head of its column, and what reaches that value."""

    mark: str
    title: str
    words: str


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One metric of both; `verdicts` stand beside the values: "better", "", or why neither is."""

    name: str
    first: MetricLine | None
    second: MetricLine | None
    verdicts: tuple[str, str]

    @property
    def sides(self) -> tuple[tuple[MetricLine | None, str], tuple[MetricLine | None, str]]:
        """Each model's value and its verdict."""
        return (self.first, self.verdicts[0]), (self.second, self.verdicts[1])

    @property
    def values(self) -> Sequence[float]:
        """All that is known of both, controls included: their strips have one axis."""
        known = [value for side in (self.first, self.second) if side for value in (side.value, *side.marks.values())]
        return [value for value in known if value is not None]

    @property
    def has_one_name(self) -> bool:
        """Whether both were measured under the same name."""
        return self.first is not None and self.second is not None and self.first.name == self.second.name


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparisonReport:
    """Everything that the page shows; `notes` say what is not compared, and why."""

    models: tuple[ComparedModel, ComparedModel]
    rows: Sequence[ComparedRow] = ()
    notes: Sequence[str] = ()
    controls: Sequence[ControlMark] = ()

    @property
    def titles(self) -> Mapping[str, str]:
        """The heads of the controls' columns by their marks."""
        return {control.mark: control.title for control in self.controls}


def render_comparison(report: ComparisonReport) -> str:
    """Write the page; the same report gives the same text.  Raises ReportError for an array that is no picture."""
    budget = PictureBudget(remaining_bytes=MAX_PICTURE_BYTES)
    pictures = [None if model.picture is None else budget.embed(model.picture) for model in report.models]
    return fill("comparison.html.j2", {"report": report, "pictures": pictures})


def write_comparison(report: ComparisonReport, path: Path) -> Path:
    """Write the page to `path` in one step.  Raises ReportError as `render_comparison` does, and OSError."""
    return write_page(render_comparison(report), path)
