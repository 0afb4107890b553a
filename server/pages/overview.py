"""`/`: the whole queue at a glance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from client.moments import stamp
from client.schedules import local_text, reason_of, result_of
from client.wording import age
from pixmill.states import State
from server.cells import Cell, columns, job_link, rows, state_cell
from server.pages.common import EVENT_COLUMNS, JOB_COLUMNS, event_row, job_row, progress
from server.site import Site, site_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from db.pipelines import RunView
    from db.schedules import ScheduleLine

SHOWN_JOBS, SHOWN_EVENTS = 8, 12
PATIENCE_SECONDS = 1.2  # with the first look for what is wrong; later ones are not waited for
ORDER = (State.RUNNING, State.QUEUED, State.PENDING, State.HELD, State.SUCCEEDED, State.FAILED, State.CANCELLED)
QUEUE_COLUMNS = columns("Queue|State|Running#|Queued#|Pending#|Held#|Reason~")


async def overview(request: Request) -> Response:
    """Counts, queues, devices, the last night, what happened, and what is wrong."""
    site = site_of(request)
    return await site.page(request, "overview.html.j2", lambda session: load(site, session))


def load(site: Site, session: "Session") -> dict[str, Any]:
    """Read all of it."""
    from client.situation import read_situation
    from db.glances import job_counts, last_events
    from db.listing import JobFilter, list_jobs
    from db.workers import database_time, latest_scheduler

    health, at = site.health.last(PATIENCE_SECONDS), database_time(session)
    checks, fleet = (health.checks, health.fleet) if health else ((), ())
    counts = job_counts(session)
    running = list_jobs(session, JobFilter(states=(State.RUNNING,)), SHOWN_JOBS)
    situation = read_situation(session, site.reader.lease_seconds, running)
    scheduler = latest_scheduler(session)
    return {
        "here": "/",
        "live": 5,
        "counts": [(state.value, counts.get(state, 0)) for state in ORDER],
        "troubles": [check for check in checks if not check.is_ok],
        "checked": len(checks),
        "fleet": [_device(member) for member in fleet],
        "queue_columns": QUEUE_COLUMNS,
        "queues": _queues(session, situation.queues),
        "scheduler": age(scheduler.seen_at, at) if scheduler else None,
        "night": _night(session),
        "running": [(line, progress(line)) for line in running],
        "job_columns": JOB_COLUMNS,
        "jobs": rows([job_row(line, situation) for line in running], JOB_COLUMNS),
        "event_columns": EVENT_COLUMNS,
        "events": rows([event_row(event, at) for event in last_events(session, SHOWN_EVENTS)], EVENT_COLUMNS),
    }


def _device(member: Any) -> dict[str, Any]:
    return {
        "name": member.label,
        "model": member.worker.device.model,
        "state": member.state,
        "job": member.job_id,
        "remark": member.remark,
        "seen": age(member.worker.seen_at, member.at),
    }


def _queues(session: "Session", known: Mapping[str, Any]) -> list[dict[str, Any]]:
    from db.views import list_queues

    found = []
    for line in list_queues(session):
        jobs = {state.value: count for state, count in line.jobs.items()}
        queue = known[line.queue.name]
        numbers = [f"{jobs.get(state.value, 0):,}" for state in ORDER[:4]]
        state = state_cell("paused" if queue.paused else "open")
        name = Cell(queue.name, f"/jobs?queue={queue.name}")
        (cells,) = rows([[name, state, *numbers, queue.paused_reason or ""]], QUEUE_COLUMNS)
        found.append({"name": queue.name, "paused": queue.paused, "cells": cells})
    return found


def _night(session: "Session") -> dict[str, Any] | None:
    """The last run of any schedule, or else of any pipeline, and what became of it."""
    from db.pipelines import last_runs, view_run
    from db.schedules import schedule_lines

    lines = [line for line in schedule_lines(session) if line.last is not None]
    if not lines:
        runs = last_runs(session)
        latest = max(runs, key=lambda run: run.begun_at, default=None)
        return None if latest is None else _pipeline_night(view_run(session, latest.id), latest.begun_at)
    line = max(lines, key=_planned)
    assert line.last is not None
    if line.last.pipeline is not None:
        night = _pipeline_night(view_run(session, line.last.pipeline.id), line.last.run.scheduled_for)
    else:
        night = {"unit": job_link(line.last.run.job_id, f"job {line.last.run.job_id}"), "verdict": None, "steps": []}
    told = {"state": result_of(line.last), "reason": reason_of(line.last)}
    return {**night, **told, "name": line.schedule.name, "when": local_text(line.schedule, line.last.run.scheduled_for)}


def _planned(line: "ScheduleLine") -> "datetime":
    assert line.last is not None
    return line.last.run.scheduled_for


def _pipeline_night(view: "RunView", when: "datetime") -> dict[str, Any]:
    verdicts = [line.step.values.get("verdict") for line in view.lines if line.step.kind == "gate"]
    return {
        "name": view.run.name,
        "when": stamp(when),
        "state": view.run.state.value,
        "reason": view.run.message or "",
        "unit": Cell(f"run {view.run.id}", f"/pipelines/{view.run.id}"),
        "verdict": next((verdict for verdict in verdicts if verdict), None),
        "steps": [(line.step.name, line.step.state.value, line.step.job_id) for line in view.lines],
    }


routes = [Route("/", overview)]
