"""Runs of pipelines: two schedulers that always look at once, and jobs that end as a test wants it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.leases import Lease, finish, publish_checkpoint
from db.pipelines import RunView, view_run
from db.registry import add_version, ensure_dataset
from db.tables.jobs import Job, Outcome
from db.tables.pipelines import PipelineStep
from pixmill.pipelines import given_params, parse_pipeline
from pixmill.states import FailureReason
from scheduler.pipelineacts import begin_run
from scheduler.pipelines import Conductor
from tests import rows

LOGICAL = datetime.fromisoformat("2026-11-22T02:30:00+01:00")
NIGHT: dict[str, Any] = {
    "kind": "pipeline",
    "name": "night",
    "params": {"images": 1000, "auto": True},
    "steps": {
        "train": {"kind": "train", "model": "vae", "dataset": "digits", "name": "digits", "images": "${params.images}"},
        "make": {"kind": "generate", "model": "${train.model}", "n": 10, "name": "night-${run.date}"},
        "judge": {"kind": "evaluate", "output": "${make.job}", "retries": 5},
        "gate": {"kind": "gate", "model": "${train.model}", "against": "${champion.digits}", "after": ["judge"]},
        "promote": {"kind": "promote", "model": "${train.model}", "gate": "gate", "auto": "${params.auto}"},
        "bulk": {"kind": "generate", "model": "digits@champion", "n": 50, "when": "${promote.promoted}"},
    },
}


def pings(**steps: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline of steps that do nothing."""
    made = {name: {"kind": "ping", **step} for name, step in steps.items()}
    return {"kind": "pipeline", "name": "pings", "steps": made}


class Runs:
    """The runs of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.conductors = [Conductor(database, outputs=None) for _ in range(2)]
        self._leases: dict[int, Lease] = {}

    def begin(
        self,
        document: Mapping[str, Any] = NIGHT,
        logical: datetime = LOGICAL,
        outputs: str | None = None,
        **params: Any,
    ) -> int:
        """Begin a run; gives its id."""
        spec = parse_pipeline(document)

        def act(session: Session) -> int:
            return begin_run(session, spec, given_params(spec, params), logical, user="ann", outputs=outputs).id

        return self.database.transact(act)

    def look(self) -> int:
        """Both schedulers look at once; gives how many steps have begun."""
        with ThreadPoolExecutor(len(self.conductors)) as pool:
            return sum(pool.map(Conductor.advance, self.conductors))

    def view(self, run_id: int) -> RunView:
        with self.database.read() as session:
            return view_run(session, run_id)

    def state(self, run_id: int) -> str:
        return self.view(run_id).run.state.value

    def story(self, run_id: int) -> dict[str, str]:
        """Step → its state, and why."""
        found = {}
        for line in self.view(run_id).lines:
            why = f" {line.step.reason}" if line.step.reason else ""
            found[line.step.name] = line.step.state.value + why
        return found

    def step(self, run_id: int, name: str) -> PipelineStep:
        return self.view(run_id).named(name).step

    def job(self, run_id: int, name: str) -> Job:
        job_id = self.step(run_id, name).job_id
        assert job_id is not None
        return rows.job(self.database, job_id)

    def jobs(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count(Job.id))) or 0

    def end(
        self, run_id: int, name: str, result: Mapping[str, Any] | None = None, outcome: Outcome = Outcome.SUCCEEDED
    ) -> None:
        """End the job of a step as a worker does; a train job leaves a version of its line, a gate what it compared."""
        job = self.job(run_id, name)
        while not rows.job(self.database, job.id).state.is_terminal:
            lease = self._lease(job.id)
            if job.kind == "train":
                rows.act(self.database, publish_checkpoint, lease, rows.checkpoint(lease, 1000))
            told: dict[str, Any] = {"reason": FailureReason.USER_ERROR, "message": "it went wrong"}

            def publish(session: Session) -> Mapping[str, Any]:
                made = outcome is Outcome.SUCCEEDED and not (result or {}).get("skipped")
                if job.kind == "train" and made:
                    dataset = ensure_dataset(session, "digits", "f" * 64, {})
                    add_version(session, job.name, rows.version(job.id, dataset))
                compared = {key: job.spec[key] for key in ("model", "against")} if job.kind == "gate" else {}
                return {**compared, **(result or {})}

            rows.act(
                self.database, finish, lease, outcome, publish=publish, **(told if outcome is Outcome.FAILED else {})
            )

    def _lease(self, job_id: int) -> Lease:
        worker = rows.add_worker(self.database)
        while job_id not in self._leases:
            rows.queue(self.database)
            lease = rows.claimed(self.database, worker)
            self._leases[lease.job_id] = lease
        return self._leases.pop(job_id)

    def through(self, run_id: int, *names: str) -> None:
        """End these steps well, one after the other, with a look after each."""
        for name in names:
            self.end(run_id, name)
            self.look()

    def judged(self, verdict: str = "PROMOTE", **begin: Any) -> int:
        """A run of the night up to and with the verdict; gives its id."""
        run_id = self.begin(**begin)
        self.look()
        self.through(run_id, "train", "make", "judge")
        self.end(run_id, "gate", {"verdict": verdict, "gates": [{"measure": "kid"}]})
        self.look()
        return run_id
