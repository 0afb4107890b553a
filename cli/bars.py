"""Live bars on a terminal's stderr."""

import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from cli.formatting import printable
from client.situation import Situation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from db.listing import JobLine


def stderr_console() -> Console:
    """A console on stderr that never reads markup out of a job's name."""
    return Console(stderr=True, markup=False, highlight=False, no_color=bool(os.environ.get("NO_COLOR")))


class _Bars:
    """Drawn on stderr for the time of a `with` block."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class JobBars(_Bars):
    """One bar a job."""

    def __init__(self, job_ids: Sequence[int]) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=28)),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=stderr_console(),
            transient=True,
        )
        self._bars: dict[int, TaskID] = {
            job_id: self._progress.add_task(f"job {job_id}", total=1, words="") for job_id in job_ids
        }

    def show(self, lines: "Mapping[int, JobLine]", situation: Situation) -> None:
        """Draw the jobs as they are."""
        from cli.waiting import progress_words, share_done

        for job_id, line in lines.items():
            done, total = share_done(line)
            words = printable(progress_words(line, situation))
            name = printable(f"{job_id} {line.job.title}")
            self._progress.update(self._bars[job_id], description=name, completed=done, total=total, words=words)


class CountBar(_Bars):
    """One bar for a count that grows."""

    def __init__(self, title: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            console=stderr_console(),
            transient=True,
        )
        self._bar = self._progress.add_task(printable(title), total=None)

    def show(self, done: int, total: int) -> None:
        """Draw how much is done."""
        self._progress.update(self._bar, completed=done, total=total)
