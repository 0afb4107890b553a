"""What customers and operators do at the worst moment."""

import random
from contextlib import suppress

from tests.faults.site import NotNow, Site, Steps
from tests.faults.violation import Invariant, Violation


def submit_at_once(site: Site, rng: random.Random) -> Steps:
    """Several processes submit the same job under the same key."""
    if site.plant.database_is_away:
        raise NotNow
    key, futures = site.load.rush(rng)
    while not all(future.done() for future in futures):
        yield 0.1
    found = {future.result() for future in futures} - {None}
    if len(found) > 1:
        site.plant.violations.append(Violation(Invariant.ONCE, f"key {key} was acknowledged as the jobs {found}"))
    site.load.acknowledge(key, next(iter(found), None))


def cancel(site: Site, rng: random.Random) -> Steps:
    """An operator cancels a job, now and then by force."""
    from db.control import cancel_job

    job_id, force = site.job(rng), rng.random() < 0.3
    site.cancelled.add(job_id)  # first of all: the answer may be lost
    site.act(lambda session: cancel_job(session, job_id, actor="operator", why="chaos", force=force))
    yield from ()


def hold(site: Site, rng: random.Random) -> Steps:
    """An operator holds a job, and releases it after a while."""
    from db.control import hold_job, release_job

    job_id = site.job(rng)
    site.act(lambda session: hold_job(session, job_id, actor="operator", why="chaos"))
    yield rng.uniform(0.2, 2.0)
    with suppress(NotNow):
        site.act(lambda session: release_job(session, job_id, actor="operator"))


def requeue(site: Site, rng: random.Random) -> Steps:
    """An operator sends a running job back to the end of the queue, now and then into the held ones."""
    from db.control import release_job, requeue_job

    job_id, hold_it = site.job(rng), rng.random() < 0.3
    site.act(lambda session: requeue_job(session, job_id, actor="operator", why="chaos", hold=hold_it))
    yield rng.uniform(0.5, 2.0)
    with suppress(NotNow):
        site.act(lambda session: release_job(session, job_id, actor="operator"))


def cancel_and_retry(site: Site, rng: random.Random) -> Steps:
    """An operator cancels a job by force, and changes his mind at once, while its worker still computes."""
    from db.control import CheckpointChoice, cancel_job, retry_job

    job_id, start = site.job(rng), rng.choice((CheckpointChoice.LAST, CheckpointChoice.LAST, CheckpointChoice.NONE))
    site.cancelled.add(job_id)
    site.act(lambda session: cancel_job(session, job_id, actor="operator", why="chaos", force=True))
    yield rng.uniform(0.0, 0.6)
    with suppress(NotNow):
        site.act(lambda session: retry_job(session, job_id, actor="operator", why="chaos", start=start))


def reprioritise(site: Site, rng: random.Random) -> Steps:
    """An operator puts a job first, or gives it another priority."""
    from db.control import set_job, top_job

    job_id, priority = site.job(rng), rng.randint(-3, 3)
    if rng.random() < 0.5:
        site.act(lambda session: top_job(session, job_id, actor="operator"))
    else:
        site.act(lambda session: set_job(session, job_id, actor="operator", priority=priority))
    yield from ()


def drain_by_row(site: Site, rng: random.Random) -> Steps:
    """An operator drains a worker, and lets it work again."""
    from db.control import drain_worker, resume_worker
    from db.workers import present_workers

    workers = site.ask(present_workers)
    if not workers:
        raise NotNow
    worker_id, at_once = rng.choice(workers).id, rng.random() < 0.5
    site.act(lambda session: drain_worker(session, worker_id, actor="operator", why="chaos", now=at_once))
    yield rng.uniform(0.3, 2.0)
    with suppress(NotNow):
        site.act(lambda session: resume_worker(session, worker_id, actor="operator"))


def pause(site: Site, rng: random.Random) -> Steps:
    """An operator pauses the queue for a moment."""
    from db.queues import pause_queue, resume_queue

    site.act(lambda session: pause_queue(session, "default", actor="operator", why="chaos"))
    yield rng.uniform(0.2, 1.0)
    with suppress(NotNow):
        site.act(lambda session: resume_queue(session, "default", actor="operator"))
