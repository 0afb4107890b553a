"""Calls that run pipelines, and look at them and at schedules."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.calls.base import Caller

if TYPE_CHECKING:
    from client.pipelines import PipelineRun
    from client.schedules import ScheduleNow


class PipelineCalls(Caller):
    """Runs of pipelines, and schedules. All calls raise DatabaseUnreachable, and NotFound for what there is not."""

    def run_pipeline(
        self, pipeline: Mapping[str, Any] | str | Path, params: Mapping[str, Any] | None = None
    ) -> "PipelineRun":
        """Begin a run of a document, a text of YAML, a file, or the pipeline of that name that ran last.

        All that can be checked is checked now: raises SpecError, UserError, NotFound or Conflict, and nothing is added.
        """
        from client.pipelines import begin, find_pipeline
        from pixmill.pipelines import given_params

        spec = find_pipeline(self._workspace, pipeline)
        run_id = begin(self._workspace, spec, given_params(spec, dict(params or {})), user=self._user)
        self._wake()
        return self.pipeline_run(run_id)

    def pipeline_run(self, run_id: int) -> "PipelineRun":
        """One run as it stands now."""
        from client.pipelines import PipelineRun
        from db.pipelines import view_run

        return PipelineRun.of(self._workspace.database.consult(lambda session: view_run(session, run_id)))

    def pipeline_runs(self, name: str | None = None, *, limit: int = 20) -> "list[PipelineRun]":
        """The last runs, of one pipeline or of all, the newest first."""
        from client.pipelines import PipelineRun
        from db.pipelines import view_runs

        views = self._workspace.database.consult(lambda session: view_runs(session, limit, name))
        return [PipelineRun.of(view) for view in views]

    def wait_pipeline(self, run_id: int, *, timeout: float | None = None, check: bool = False) -> "PipelineRun":
        """Wait until a run has ended, at most `timeout` seconds.

        With `check` raises JobFailed, JobCancelled or, when time is up, JobNotFinished; a run that was skipped is fine.
        """
        from client.pipelines import PipelineRun
        from client.waiting import raise_run_outcome, watch_run

        for view in watch_run(self._workspace, run_id, timeout_seconds=timeout, note=self._on_trouble):
            last = view
        if check:
            raise_run_outcome(last.run)
        return PipelineRun.of(last)

    def schedules(self) -> "list[ScheduleNow]":
        """All schedules by name, each with what became of its last run."""
        from client.schedules import ScheduleNow
        from db.schedules import schedule_lines

        lines = self._workspace.database.consult(schedule_lines)
        return [ScheduleNow.of(line) for line in lines]
