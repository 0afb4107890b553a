"""Calls that ask for jobs."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from client.calls.base import Caller, JobLike, JobLikes, id_of, plain_options
from client.jobs import Job, jobs_by_id

if TYPE_CHECKING:
    from client.submitting import Plan, Request
    from pixmill.specs import Spec


class Options(TypedDict, total=False):
    """How a job is queued; what is left out is as in the document, or as the command line has it."""

    name: str  # of a train job also that of its model
    queue: str
    priority: int  # from -1000 to 1000; a point is worth a minute of waiting
    device: Literal["any", "cpu", "cuda"]
    after: JobLikes  # that must end first
    after_policy: Literal["ok", "any"]  # ok: they must succeed
    hold: bool
    begin: datetime | str  # not before; with a time zone
    key: str  # the same key is the same job
    labels: Mapping[str, str]
    retries: int  # after failures that may pass
    retry_seconds: float | str  # before the first retry; doubles with each
    time_limit_seconds: float | str  # of one attempt at one task


class SubmitCalls(Caller):
    """Asks for jobs. Counts may be written "10k", time spans "2h".

    Without Redis a job is stored all the same, and starts a little later: `on_trouble` is told.
    """

    def submit(self, spec: "Spec | Mapping[str, Any] | str | Path", **options: Unpack[Options]) -> Job:
        """Add one job, or find the one that was added under the same key.

        `spec` is one of pixmill.specs, a document, a text of YAML or JSON, or a file. Raises SpecError, DatasetError,
        NotFound, Conflict, KeyConflict, ConfigError or DatabaseUnreachable; nothing is added then.
        """
        from client.submitting import one_request

        return self._send([one_request(spec, plain_options(dict(options)))])[0]

    def submit_all(
        self, specs: "Iterable[Spec | Mapping[str, Any] | str | Path]", **options: Unpack[Options]
    ) -> list[Job]:
        """Add all jobs in one transaction, or none; texts and files may hold several.  Raises as `submit`."""
        return self._send(self._requests(specs, options))

    def plan(self, spec: "Spec | Mapping[str, Any] | str | Path", **options: Unpack[Options]) -> "Plan":
        """What `submit` would add: the document with all that was left open, its tasks, its images. Adds nothing."""
        from client.submitting import one_request, plan

        request = one_request(spec, plain_options(dict(options)))
        return plan(self._workspace, [request], user=self._user)[0]

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

    def _requests(self, specs: "Iterable[Spec | Mapping[str, Any] | str | Path]", options: Options) -> "list[Request]":
        from client.submitting import documents_of, request_of

        plain = plain_options(dict(options))
        return [request_of(document, plain) for spec in specs for document in documents_of(spec)]

    def _send(self, requests: "list[Request]") -> list[Job]:
        from client.submitting import send
        from pixmill.errors import BrokerUnreachable

        done = send(self._workspace, requests, user=self._user)
        error = next((one.broker_error for one in done if one.broker_error), None)
        if error is not None:
            self._on_trouble(BrokerUnreachable(error))
        return jobs_by_id(self._workspace, [one.job_id for one in done])
