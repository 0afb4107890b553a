"""Calls that ask for jobs."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from client.calls.base import Caller, JobLike, Parents, id_of, plain_options
from client.jobs import Job, jobs_by_id

if TYPE_CHECKING:
    from client.submitting import Plan
    from pixmill.specs import Spec
    from scheduler.groups import Group


class Options(TypedDict, total=False):
    """How a job is queued; what is left out is as in the document, or as the command line has it."""

    name: str  # of a train job also that of its model
    queue: str
    priority: int  # from -1000 to 1000; a point is worth a minute of waiting
    device: Literal["any", "cpu", "cuda"]
    after: "Parents"  # that must end first
    after_policy: Literal["ok", "any"]  # ok: they must succeed
    hold: bool
    begin: datetime | str  # not before; with a time zone
    key: str  # the same key is the same job
    labels: Mapping[str, str]
    retries: int  # after failures that may pass
    retry_seconds: float | str  # before the first retry; doubles with each
    time_limit_seconds: float | str  # of one attempt at one task


class ArrayOptions(Options, total=False):
    """How the jobs of an array are queued, and what differs among them: an index, or else what is swept."""

    array: str  # "0-15", "1,3,5-9:2", and "0-15%4" for at most four at once
    sweep: Mapping[str, Any]  # key of the spec, or option of the preset → values, or "1e-4,2e-4" or "0..4"
    array_limit: int  # so many at once


class SubmitCalls(Caller):
    """Asks for jobs. Counts may be written "10k", time spans "2h".

    Without Redis a job is stored all the same, and starts a little later: `on_trouble` is told.
    """

    def submit(self, spec: "Spec | Mapping[str, Any] | str | Path", **options: Unpack[Options]) -> Job:
        """Add one job, or find the one that was added under the same key.

        `spec` is one of pixmill.specs, a document, a text of YAML or JSON, or a file. Raises SpecError, DatasetError,
        NotFound, Conflict, KeyConflict, ConfigError or DatabaseUnreachable; nothing is added then.
        """
        from client.submitting import one_job

        return self._send([one_job(spec, plain_options(dict(options)))])[0]

    def submit_array(self, spec: "Spec | Mapping[str, Any] | str | Path", **options: Unpack[ArrayOptions]) -> list[Job]:
        """Add all jobs of an array, or none; gives them by index. A key is that of the whole array.

        What differs is the seed, or what holds {index}, or what is swept; a document may hold that, too. Raises as
        `submit`, and SpecError where two jobs would do the same work.
        """
        from client.submitting import one_array

        return self._send([one_array(spec, plain_options(dict(options)))])

    def submit_all(
        self, specs: "Iterable[Spec | Mapping[str, Any] | str | Path]", **options: Unpack[Options]
    ) -> list[Job]:
        """Add all jobs in one transaction, or none; texts and files may hold several, and arrays.

        Raises as `submit`.
        """
        from client.submitting import documents_of, group_of

        plain = plain_options(dict(options))
        return self._send([group_of(document, plain) for spec in specs for document in documents_of(spec)])

    def plan(self, spec: "Spec | Mapping[str, Any] | str | Path", **options: Unpack[Options]) -> "Plan":
        """What `submit` would add: the document with all that was left open, its tasks, its images. Adds nothing."""
        from client.submitting import one_job, plan

        return plan(self._workspace, [one_job(spec, plain_options(dict(options)))], user=self._user)[0][0]

    def plan_array(
        self, spec: "Spec | Mapping[str, Any] | str | Path", **options: Unpack[ArrayOptions]
    ) -> "list[Plan]":
        """What `submit_array` would add, job by job. Adds nothing."""
        from client.submitting import one_array, plan

        return plan(self._workspace, [one_array(spec, plain_options(dict(options)))], user=self._user)[0]

    def train(self, model: str, dataset: str, **keys: Any) -> Job:
        """Train a model of this preset; `keys` are those of a train spec, and options.  Raises as `submit`."""
        return self._submit_kind("train", {"model": model, "dataset": dataset, **keys})

    def generate(self, model: str, n: int | str, **keys: Any) -> Job:
        """Make a data set; `keys` are those of a generate spec, and options.  Raises as `submit`."""
        return self._submit_kind("generate", {"model": model, "n": n, **keys})

    def evaluate(self, output: JobLike, **keys: Any) -> Job:
        """Judge the images of a job; `keys` are those of an evaluate spec, and options.  Raises as `submit`."""
        return self._submit_kind("evaluate", {"output": id_of(output), **keys})

    def _submit_kind(self, kind: str, keys: dict[str, Any]) -> Job:
        return self.submit({"kind": kind, **plain_options(keys)})

    def _send(self, groups: "list[Group]") -> list[Job]:
        from client.submitting import send
        from pixmill.errors import BrokerUnreachable

        done = send(self._workspace, groups, user=self._user)
        error = next((one.broker_error for one in done if one.broker_error), None)
        if error is not None:
            self._on_trouble(BrokerUnreachable(error))
        return jobs_by_id(self._workspace, [one.job_id for one in done])
