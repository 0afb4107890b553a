"""Everything at one glance: queues, devices, what runs, what waits first and why, and what has happened last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.fleet import Member
from client.jobdetails import event_json
from client.jobs import job_json
from client.queues import read_queues
from client.situation import Situation, read_situation
from client.workspace import Workspace
from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobLine
    from db.tables.jobs import Event

SHOWN_JOBS = 40  # that run, and as many that wait: more than fit a terminal
SHOWN_EVENTS = 20


@dataclass(frozen=True, kw_only=True)
class Glance:
    """How things stood at one moment."""

    situation: Situation
    queues: Sequence[Mapping[str, Any]]
    running: Sequence["JobLine"]  # the newest, by id
    waiting: Sequence["JobLine"]  # those that start first
    events: Sequence["Event"]  # the newest first

    @property
    def at(self) -> datetime:
        """By the database's clock."""
        return self.situation.at

    @property
    def fleet(self) -> Sequence[Member]:
        """The newest worker of each device."""
        return self.situation.fleet

    @property
    def troubles(self) -> list[str]:
        """What keeps everything from starting, with its remedy."""
        if not self.situation.scheduler_is_present:
            return ["no scheduler runs; start one: pixmill up"]
        error = self.situation.broker_error
        return [f"the scheduler does not reach the broker: {error}"] if error else []

    def count(self, *states: str) -> int:
        """How many jobs are in one of these states: pending, queued, running or held."""
        return sum(queue["jobs"][state] for queue in self.queues for state in states)

    def to_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "at": self.at,
            "troubles": self.troubles,
            "counts": {state: self.count(state) for state in ("pending", "queued", "running", "held")},
            "queues": list(self.queues),
            "devices": [member.device_json() for member in self.fleet],
            "running": [job_json(line, self.situation) for line in self.running],
            "waiting": [job_json(line, self.situation) for line in self.waiting],
            "events": [{**event_json(event), "job_id": event.job_id} for event in self.events],
        }


def glance(workspace: Workspace, *, collapses: bool = False) -> Glance:
    """Look at everything, in one transaction; with `collapses` one line stands for what waits of an array.

    Raises DatabaseUnreachable.
    """
    from db.glance import first_waiting, last_events
    from db.listing import JobFilter, job_lines, list_jobs, waiting_lines

    with workspace.database.read() as session:
        running = list_jobs(session, JobFilter(states=(State.RUNNING,)), SHOWN_JOBS)
        first = first_waiting(session, SHOWN_JOBS, collapses=collapses)
        waiting = waiting_lines(session, first) if collapses else job_lines(session, first)
        situation = read_situation(session, workspace.settings.scheduler.lease_seconds, [*running, *waiting])
        return Glance(
            situation=situation,
            queues=read_queues(session, situation.active),
            running=running,
            waiting=waiting,
            events=last_events(session, SHOWN_EVENTS),
        )
