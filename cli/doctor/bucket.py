"""The bucket of `storage.outputs`: whether it answers, lets us write and delete, and has the time that we have."""

import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from cli.doctor.findings import Finding, ok, warning
from storage.disk import PROBE_BYTES
from storage.s3.bucket import Bucket

PART = "bucket"
SKEW_SECONDS = 60.0  # S3 refuses at 15 minutes
SLOW_SECONDS = 2.0
ANSWER_SECONDS = 5.0  # the libraries alone take a second


@dataclass(frozen=True, kw_only=True)
class BucketAnswer:
    """What was measured."""

    url: str
    server: str
    round_trip_seconds: float  # a small object: written, looked at, deleted
    skew_seconds: float | None  # its clock less ours


def ask_bucket(url: str, endpoint: str | None) -> BucketAnswer:
    """Write, look at and delete a small object.  Raises as `Bucket` does."""
    bucket, key = Bucket.of(url, endpoint)
    probe = "/".join(part for part in (key, f".pixmill-doctor-{secrets.token_hex(6)}") if part)
    date = bucket.clock()
    skew = None if date is None else parsedate_to_datetime(date).timestamp() - time.time()
    with tempfile.TemporaryDirectory(prefix="pixmill-") as folder:
        file = Path(folder) / "probe"
        file.write_bytes(bytes(PROBE_BYTES))
        started = time.perf_counter()
        bucket.upload(file, probe, lambda _size_bytes: None)
        bucket.delete([probe])
        seconds = time.perf_counter() - started
    return BucketAnswer(url=url, server=endpoint or "Amazon S3", round_trip_seconds=seconds, skew_seconds=skew)


def examine_bucket(answer: BucketAnswer) -> Iterator[Finding]:
    """What was measured, and what is wrong about it."""
    text = f"{answer.url} at {answer.server}: 4 kB are written and deleted in {answer.round_trip_seconds * 1000:.0f} ms"
    if answer.skew_seconds is not None and abs(answer.skew_seconds) > SKEW_SECONDS:
        skew = f"its clock differs by {answer.skew_seconds:+.0f} s; at 15 minutes it refuses every request"
        yield warning(PART, f"{text}; {skew}", "set the clock of this host, by NTP")
    elif answer.round_trip_seconds > SLOW_SECONDS:
        yield warning(PART, f"{text}: slow", "look at the network; each shard waits for three such uploads")
    else:
        yield ok(PART, text)
