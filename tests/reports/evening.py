"""A home in which every kind of job was really run: small models of real digits, three nights, and what goes wrong.

    python -m tests.reports.evening FOLDER

takes some minutes of two cores, and goes on where it was stopped; its reports are FOLDER/pages/NAME.html.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client import Client
from client.jobreport.building import write_report, write_run_report
from client.jobs import Job
from client.modelreport.building import write_model_report
from client.workspace import Workspace

DIGITS: Mapping[str, Any] = {"kind": "train", "dataset": "digits", "image_size": 16}
NIGHT = """
kind: pipeline
name: night
params: {images: 6000}
steps:
  train:
    {kind: train, model: vae, dataset: digits, image_size: 16, conditional: true, images: "${params.images}",
     name: digits, start_from: "${champion.digits}"}
  gate:
    kind: gate
    model: ${train.model}
    against: ${champion.digits}
    images: 400
    gates:
      kid: {max: 0.2, worse_by: 0.02}
      coverage: {min: 0.1}
      agreement: {min: 0.3}
  promote: {kind: promote, model: "${train.model}", gate: gate, auto: true}
  bulk: {kind: generate, model: digits@champion, n: 500, shard_size: 250, name: "digits-${run.date}",
         after: [promote]}
  report: {kind: report}
"""
FIRST = 3_000  # training images of the version that is champion to begin with
CURVE = 3_000  # images
NIGHTS = (6_000, 200, 9_000)  # and of each night; the second learns next to nothing


@contextmanager
def working(home: Path) -> Iterator[Client]:
    """A home with its broker, its scheduler and one worker."""
    pixmill = [sys.executable, "-m", "cli"]
    settings = home / "pixmill.toml"
    home.mkdir(parents=True, exist_ok=True)
    settings.write_text(f"home = {json.dumps(str(home))}\n", encoding="utf-8")
    subprocess.run([*pixmill, "up", "--device", "cpu"], cwd=home, check=True)
    try:
        with Client(config=settings) as client:
            yield client
    finally:
        subprocess.run([*pixmill, "down"], cwd=home, check=True)


def fill(client: Client) -> dict[str, Job]:
    """Run one job of each kind and more; gives them by what they are called. Goes on where it was stopped."""
    first = _ask(client, "first", {**DIGITS, "model": "vae", "conditional": True, "images": FIRST}, name="digits")
    client.wait(first)
    if not client.pipeline_runs("night"):
        client.promote("digits@1", reason="there is no other yet")
    for images in NIGHTS[len(client.pipeline_runs("night")) :]:
        client.wait_pipeline(client.run_pipeline(NIGHT, {"images": images}).id)
    jobs = {"first": first, **_models(client)}
    jobs |= _made(client, jobs)
    client.wait(list(jobs.values()))
    jobs |= _unfinished(client)
    for kind in ("gate", "report"):
        jobs[kind] = client.jobs(kinds=[kind])[-1]
    return jobs


def _ask(client: Client, key: str, spec: Mapping[str, Any], **options: Any) -> Job:
    return client.submit(dict(spec), **{"name": key, **options, "key": key})


def _models(client: Client) -> dict[str, Job]:
    asked = {
        "train": ("sngan", 16_000, "sharp"),
        "train-plain": ("vae", 6_000, "plain"),
        "train-cnn": ("cnn", 8_000, "reader"),
        "train-codec": ("fsq-ae", 12_000, "codec"),
        "train-restorer": ("conv-ae", 12_000, "mender"),
        "train-sequences": ("convlstm", 600, "mover"),
    }
    more: Mapping[str, dict[str, Any]] = {
        "train": {"conditional": True},
        "train-sequences": {"dataset": "moving:digits", "options": {"width": 8}},
    }
    return {
        key: _ask(client, key, {**DIGITS, "model": model, "images": images, **more.get(key, {})}, name=name)
        for key, (model, images, name) in asked.items()
    }


def _made(client: Client, jobs: Mapping[str, Job]) -> dict[str, Job]:
    found: dict[str, Job] = {}

    def ask(key: str, kind: str, after: Job | None = None, **spec: Any) -> None:
        found[key] = _ask(client, key, {"kind": kind, **spec}, after=[after] if after else [])

    def of(key: str) -> dict[str, Any]:
        return {"model": f"job:{jobs[key].id}", "after": jobs[key]}

    digits = "digits@champion"
    chosen = {"filter_model": f"job:{jobs['train-cnn'].id}", "min_confidence": 0.9, "on_reject": "best"}
    ask("generate", "generate", model=digits, n=1_000, shard_size=500)
    ask("generate-chosen", "generate", jobs["train-cnn"], model=digits, n=200, **chosen)
    ask("animate", "animate", model=digits, n=6, frames=24)
    ask("animate-onwards", "animate", **of("train-sequences"), n=3, given=5, frames=8)
    ask("edit", "edit", **of("train-plain"), dataset="digits", way="attribute", attribute="3", against="8", n=6)
    ask("edit-classes", "edit", model=digits, way="class", n=8)
    ask("restore", "restore", **of("train-restorer"), input="digits", degrade=True)
    ask("compress", "compress", **of("train-codec"))
    ask("decompress", "decompress", found["compress"], output=found["compress"].id)
    ask("evaluate", "evaluate", found["generate"], output=found["generate"].id, n=500)
    ask("ping", "ping")
    ask("failed", **{**DIGITS, "model": "vae", "min_images": 10**6})
    return found


def _unfinished(client: Client) -> dict[str, Job]:
    """A job that was cancelled while it ran, one that runs, and one that is held."""
    long = {**DIGITS, "model": "sngan", "images": 10**8}
    cancelled = _ask(client, "cancelled", long)
    if not cancelled.state.is_terminal:
        _until_sampled(client, cancelled)
        client.cancel(cancelled, reason="the wrong data set")
        client.wait(cancelled)
    running = _ask(client, "running", long)
    _until_sampled(client, running)
    held = _ask(client, "held", {**DIGITS, "model": "vae"}, hold=True)
    return {"cancelled": cancelled, "running": running, "held": held}


def _until_sampled(client: Client, job: Job) -> None:
    """Until the job has left a bit of a curve."""
    for progress in client.progress(job):
        if progress.done > CURVE:
            return


def write_pages(home: Path, jobs: Mapping[str, int], run: int) -> None:
    """The report of each job, of the model of the nights, and of the last night, as pages/NAME.html."""
    workspace = Workspace(config=home / "pixmill.toml")
    database, settings, folder = workspace.database, workspace.settings, home / "pages"
    folder.mkdir(exist_ok=True)
    for name, job_id in jobs.items():
        write_report(database, settings, job_id, folder / f"{name}.html")
    write_model_report(database, settings, "digits", folder / "model.html")
    write_run_report(database, settings, run, folder / "night.html")
    database.dispose()


def main() -> None:
    """Fill the folder that is named, and leave it standing."""
    home = Path(sys.argv[1]).resolve()
    began = time.monotonic()
    with working(home) as client:
        jobs = fill(client)
        write_pages(home, {name: job.id for name, job in jobs.items()}, client.pipeline_runs("night")[0].id)
    sys.stdout.write(f"{home}: {len(jobs)} jobs in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
