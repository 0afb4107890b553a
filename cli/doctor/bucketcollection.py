"""Garbage collection in the bucket of `storage.outputs`, beside that of runs/: judged and cleared lot by lot."""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from cli.doctor.collection import BATCH_JOBS, Collection, Sight, acknowledged_time
from db.engine import Database
from db.references import JobReferences, job_references
from pixmill.settings import Settings
from storage.garbage.weighing import Usage
from storage.places import attempt_url
from storage.s3.garbage import Lot, LotClaims, LotVerdict, OutputsBucket


class BucketCollection:
    """One look at all that lies in the bucket, and the removal of what it finds.

    What is there is listed before the rows are read: an attempt sends nothing before its claim is committed.
    """

    def __init__(self, database: Database, outputs: OutputsBucket, grace_seconds: float) -> None:
        self._database = database
        self._outputs = outputs
        self._cutoff = time.time() - grace_seconds
        self._acknowledged: float | None = None

    def walk(self) -> Iterator[Sight]:
        """Everything in the bucket, as it is met.  Raises DatabaseUnreachable, and as `Bucket` does."""
        found = self._outputs.lots()
        while batch := list(islice(found, BATCH_JOBS)):
            lots = [lot for lot in batch if isinstance(lot, Lot)]
            references = self._references({lot.job_id for lot in lots})
            yield from (Sight(stranger=url) for url in batch if isinstance(url, str))
            yield from (Sight(lot=self._judge(lot, references.get(lot.job_id))) for lot in lots)

    def clear(self, sight: Sight) -> Usage:
        """Remove what of this may go by the rows of this very moment; gives how much that was.  Raises as `walk`."""
        if sight.lot is None:
            return Usage()
        lot = self._outputs.lot(sight.lot.lot)
        return self._outputs.remove(self._judge(lot, self._references([lot.job_id]).get(lot.job_id)))

    def _references(self, job_ids: Iterable[int]) -> dict[int, JobReferences]:
        with self._database.read() as session:
            if self._acknowledged is None:
                self._acknowledged = acknowledged_time(session)
            return dict(job_references(session, list(job_ids)))

    def _judge(self, lot: Lot, references: JobReferences | None) -> LotVerdict:
        claims = self._claims(lot, references)
        return self._outputs.judge(lot, claims, cutoff=self._cutoff, acknowledged=self._acknowledged or 0.0)

    def _claims(self, lot: Lot, references: JobReferences | None) -> LotClaims:
        if references is None:
            return LotClaims(is_known=False, is_dataset=self._outputs.has_dataset(lot.job_id))
        has_shards = bool(references.shards)
        if lot.attempt is None:
            return LotClaims(is_known=True, has_shards=has_shards)
        one, attempt = lot.attempt, references.attempts.get(lot.attempt.path)
        url = attempt_url(self._outputs.url, one.job_id, one.task_id, one.epoch)
        return LotClaims(
            is_known=attempt is not None,
            is_live=attempt is not None and attempt.is_live,
            shards=frozenset(references.shards.get(url, ())),
            has_shards=has_shards,
        )


AnyCollection = Collection | BucketCollection


def collections_of(database: Database, settings: Settings, grace_seconds: float) -> Mapping[str, AnyCollection]:
    """All that is to be looked through, by what it is called."""
    root, outputs, endpoint = settings.storage_root, settings.storage.outputs, settings.storage.endpoint
    found: dict[str, AnyCollection] = {f"{root}/runs": Collection(database, root, grace_seconds)}
    if outputs is not None:
        found[outputs] = BucketCollection(database, OutputsBucket(outputs, endpoint), grace_seconds)
    return found
