"""Same request, same bytes: what a disturbed job made is what an undisturbed one makes."""

from collections.abc import Iterator, Mapping

from pixmill.states import State
from tests.faults.history import History
from tests.faults.violation import Invariant, Violation

Fingerprint = tuple[str, ...]  # a model's digest, or the SHA-256 of each shard's archive in order


def fingerprints(history: History) -> dict[str, Fingerprint]:
    """Spec digest → what the first job of this spec made."""
    found: dict[str, Fingerprint] = {}
    for job in history.jobs:
        made = _fingerprint(history, job.id)
        if job.state is State.SUCCEEDED and made:
            found.setdefault(job.spec_digest, made)
    return found


def _fingerprint(history: History, job_id: int) -> Fingerprint:
    models = [version.digest for version in history.versions_of_job[job_id]]
    return tuple(models or [str(shard.record["tar_sha256"]) for shard in history.shards_of_job[job_id]])


def check_bytes(history: History, reference: Mapping[str, Fingerprint]) -> Iterator[Violation]:
    """Compare what succeeded with what undisturbed jobs of the same spec made."""
    for job in history.jobs:
        expected = reference.get(job.spec_digest)
        if job.state is not State.SUCCEEDED or expected is None:
            continue
        made = _fingerprint(history, job.id)
        if made != expected:
            places = [place for place, pair in enumerate(zip(made, expected, strict=False)) if pair[0] != pair[1]]
            found = f"{len(made)} of {len(expected)} parts, others at {places}"
            text = f"{job.kind} job {job.id} made other bytes than an undisturbed one: {found}"
            yield Violation(Invariant.BYTES, text)
