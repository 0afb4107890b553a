"""A home in which every kind of job was really run: small models of real digits, three nights, and what goes wrong.

    python -m tests.reports.evening FOLDER

takes some minutes of two cores; FOLDER/jobs.json then says which job is which.
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
from client.jobs import Job
from pixmill.states import State

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
    """Run one job of each kind and more; gives them by what they are to be called."""
    jobs = dict(_models(client))
    first = client.submit({**DIGITS, "model": "vae", "conditional": True, "images": FIRST}, name="digits", priority=100)
    client.wait(first)
    client.promote("digits@1", reason="there is no other yet")
    for images in NIGHTS:
        client.wait_pipeline(client.run_pipeline(NIGHT, {"images": images}).id)
    jobs |= _made(client, jobs)
    jobs["evaluate"] = client.evaluate(jobs["generate"], n=500, name="judged", after=jobs["generate"])
    squeezed = jobs["compress"]
    jobs["decompress"] = client.submit({"kind": "decompress", "output": squeezed.id}, name="unsqueezed", after=squeezed)
    jobs["ping"] = client.submit({"kind": "ping"}, name="anybody-there")
    jobs["failed"] = client.submit({**DIGITS, "model": "vae", "min_images": 10**6}, name="too-few")
    client.wait(list(jobs.values()))
    jobs |= _unfinished(client)
    for kind in ("gate", "report"):
        jobs[kind] = client.jobs(kinds=[kind])[-1]
    return jobs


def _models(client: Client) -> Iterator[tuple[str, Job]]:
    yield "train", client.submit({**DIGITS, "model": "sngan", "conditional": True, "images": 16_000}, name="sharp")
    for model, name, images in (("cnn", "reader", 8_000), ("fsq-ae", "codec", 8_000), ("conv-ae", "mender", 4_000)):
        yield f"train-{model}", client.submit({**DIGITS, "model": model, "images": images}, name=name)
    moving = {**DIGITS, "dataset": "moving:digits", "model": "convlstm", "images": 600, "options": {"width": 8}}
    yield "train-convlstm", client.submit(moving, name="mover")


def _made(client: Client, jobs: Mapping[str, Job]) -> dict[str, Job]:
    reader, codec, mender, mover = (
        f"job:{jobs[f'train-{one}'].id}" for one in ("cnn", "fsq-ae", "conv-ae", "convlstm")
    )
    digits, edit = "digits@champion", {"kind": "edit", "model": "digits@champion", "dataset": "digits"}
    to_three = {**edit, "way": "attribute", "attribute": "3", "against": "8", "n": 6}
    return {
        "generate": client.generate(digits, 1_000, shard_size=500, name="thousand"),
        "generate-chosen": client.generate(
            digits, 200, filter_model=reader, min_confidence=0.6, on_reject="best", name="chosen",
            after=jobs["train-cnn"],
        ),
        "animate": client.submit({"kind": "animate", "model": digits, "n": 4, "frames": 24}, name="walks"),
        "animate-onwards": client.submit(
            {"kind": "animate", "model": mover, "n": 3, "given": 5, "frames": 8}, name="onwards",
            after=jobs["train-convlstm"],
        ),
        "edit": client.submit(to_three, name="towards-three"),
        "edit-between": client.submit({**edit, "way": "interpolate", "indices": [3, 7, 12, 40]}, name="between"),
        "restore": client.submit(
            {"kind": "restore", "model": mender, "input": "digits", "degrade": True}, name="mended",
            after=jobs["train-conv-ae"],
        ),
        "compress": client.submit({"kind": "compress", "model": codec}, name="squeezed", after=jobs["train-fsq-ae"]),
    }  # fmt: skip


def _unfinished(client: Client) -> dict[str, Job]:
    """A job that was cancelled while it ran, one that runs, and one that is held."""
    long = {**DIGITS, "model": "sngan", "images": 10**8}
    cancelled = client.submit(long, name="changed-my-mind")
    _until_sampled(client, cancelled)
    client.cancel(cancelled, reason="the wrong data set")
    client.wait(cancelled)
    running = client.submit(long, name="all-night")
    _until_sampled(client, running)
    held = client.submit({**DIGITS, "model": "vae"}, name="for-review", hold=True)
    return {"cancelled": cancelled, "running": running, "held": held}


def _until_sampled(client: Client, job: Job) -> None:
    """Until the job has left some curve, and a grid."""
    for progress in client.progress(job):
        if progress.state is not State.RUNNING:
            continue
        if progress.share * 10**8 > 3_000:
            return


def main() -> None:
    """Fill the folder that is named, and leave it standing."""
    home = Path(sys.argv[1]).resolve()
    began = time.monotonic()
    with working(home) as client:
        jobs = fill(client)
        (home / "jobs.json").write_text(json.dumps({name: job.id for name, job in jobs.items()}, indent=2))
    sys.stdout.write(f"{home}: {len(jobs)} jobs in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
