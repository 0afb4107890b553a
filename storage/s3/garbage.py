"""Objects in a bucket that nobody needs any more, and uploads that nobody will complete: found and judged.

Below `storage.outputs` lies `<job>/` for each data set, and in it `<task>/<epoch>/` for each attempt; anything else was
not made by pixmill, and is left alone. What an attempt has sent is needed by rows of shards alone, so all that a dead
one has left without a row may go at once.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import inf

from storage.garbage.folders import AttemptFolder
from storage.garbage.verdicts import Scrap, Standing, Verdict, Waste
from storage.garbage.weighing import Usage
from storage.places import INDEX_FILE, attempt_url
from storage.records import CONTAINERS, shard_stem
from storage.s3.bucket import Bucket, StoredObject, UnfinishedUpload

_KEY = re.compile(r"([1-9][0-9]{0,17})/(?:([1-9][0-9]{0,17})/([1-9][0-9]{0,17})/)?[^/]+")


@dataclass(frozen=True)
class Lot:
    """What one attempt has sent, or, without an attempt, what lies beside the shards of a job."""

    job_id: int
    attempt: AttemptFolder | None
    objects: tuple[StoredObject, ...] = ()
    uploads: tuple[UnfinishedUpload, ...] = ()

    @property
    def usage(self) -> Usage:
        """How much there is."""
        return Usage(len(self.objects) + len(self.uploads), sum(found.size_bytes for found in self.objects))

    @property
    def changed_at(self) -> float:
        """When the last of it arrived."""
        return max(found.changed_at for found in self.objects) if self.objects else 0.0


@dataclass(frozen=True, kw_only=True)
class LotClaims:
    """What rows say about a lot."""

    is_known: bool  # the attempt; without one, the job
    is_live: bool = False
    shards: frozenset[int] = frozenset()  # whose rows name it
    has_shards: bool = False  # the job, anywhere
    is_dataset: bool = False  # of a job that no row knows, and a data set all the same


@dataclass(frozen=True, kw_only=True)
class LotVerdict(Verdict):
    """The verdict over a lot."""

    lot: Lot
    objects: tuple[StoredObject, ...] = ()
    uploads: tuple[UnfinishedUpload, ...] = ()


class OutputsBucket:
    """All data sets below one URL."""

    def __init__(self, url: str, endpoint: str | None) -> None:
        self.url = url
        self._bucket, key = Bucket.of(url, endpoint)
        self._prefix = f"{key}/" if key else ""

    def lots(self) -> Iterator[Lot | str]:
        """Everything there, job by job, and the URLs of what is not ours.  Raises as `Bucket` does."""
        yield from self._lots("")

    def lots_of(self, job_id: int) -> list[Lot]:
        """What lies there of one job."""
        return [lot for lot in self._lots(f"{job_id}/") if isinstance(lot, Lot)]

    def attempts_of(self, job_id: int) -> list[tuple[AttemptFolder, Lot]]:
        """What attempts of one job have sent, task by task, the newest attempts first."""
        lots = [(lot.attempt, lot) for lot in self.lots_of(job_id) if lot.attempt is not None]
        return sorted(lots, key=lambda one: (one[0].task_id, -one[0].epoch))

    def lot(self, known: Lot) -> Lot:
        """The same lot as it is now."""
        one = known.attempt  # whose objects alone are listed: a job may have thousands of attempts
        below = f"{known.job_id}/" if one is None else f"{one.job_id}/{one.task_id}/{one.epoch}/"
        found = (lot for lot in self._lots(below) if isinstance(lot, Lot) and lot.attempt == one)
        return next(found, Lot(known.job_id, one))

    def has_dataset(self, job_id: int) -> bool:
        """Whether a finished data set lies there under the id of a job."""
        key = f"{self._prefix}{job_id}/{INDEX_FILE}"
        return any(found.key == key for found in self._bucket.objects(key))

    def job_usage(self, job_id: int) -> Usage:
        """How much lies there of one job."""
        return Usage.total(lot.usage for lot in self.lots_of(job_id))

    def remove_job(self, job_id: int) -> Usage:
        """Delete all that lies there of one job; gives how much that was."""
        lots = self.lots_of(job_id)
        for lot in lots:
            self._delete(lot.objects, lot.uploads)
        return Usage.total(lot.usage for lot in lots)

    def remove(self, verdict: LotVerdict) -> Usage:
        """Delete what of a lot may go; gives how much that was."""
        self._delete(verdict.objects, verdict.uploads)
        return verdict.waste

    def _delete(self, objects: Iterable[StoredObject], uploads: Iterable[UnfinishedUpload]) -> None:
        # The marker of a shard goes before the files that it vouches for.
        self._bucket.delete(sorted((found.key for found in objects), key=lambda key: not key.endswith(".json")))
        for upload in uploads:
            self._bucket.abort(upload)

    def _lots(self, below: str) -> Iterator[Lot | str]:
        prefix = f"{self._prefix}{below}"
        uploads: dict[tuple[str, ...], list[UnfinishedUpload]] = {}
        for upload in self._bucket.unfinished(prefix):
            uploads.setdefault(self._owner(upload.key), []).append(upload)
        for owner, group in groupby(self._bucket.objects(prefix), key=lambda found: self._owner(found.key)):
            if owner:
                yield _lot(owner, tuple(group), tuple(uploads.pop(owner, ())))
            else:
                yield from (self._bucket.url(found.key) for found in group)
        yield from (_lot(owner, (), tuple(left)) for owner, left in uploads.items() if owner)

    def _owner(self, key: str) -> tuple[str, ...]:
        match = _KEY.fullmatch(key.removeprefix(self._prefix))
        return () if match is None else tuple(number for number in match.groups() if number)

    def judge(self, lot: Lot, claims: LotClaims, *, cutoff: float, acknowledged: float = inf) -> LotVerdict:
        """Tell what of a lot may go.

        `cutoff` is a time (seconds since 1970): what rows know nothing of, and unfinished uploads, stay when they are
        younger, by the server's clock. What rows know nothing of stays as well when it is younger than `acknowledged`,
        or a data set, as in `storage.garbage.judging.judge`.
        """
        standing = self._standing(lot, claims)
        is_orphan = standing is Standing.ORPHAN
        stays = {
            "is_young": is_orphan and lot.changed_at > cutoff,
            "is_later": is_orphan and lot.changed_at > acknowledged,
            "is_published": is_orphan and claims.is_dataset,
        }
        objects: tuple[StoredObject, ...] = ()
        if standing is not Standing.LIVE and not any(stays.values()):
            objects = self._unneeded(lot, claims)
        uploads = () if standing is Standing.LIVE else tuple(one for one in lot.uploads if one.began_at <= cutoff)
        waste = Waste.ORPHAN if standing is Standing.ORPHAN else Waste.UNPUBLISHED
        scraps = [self._scrap(found.key, waste, found.size_bytes) for found in objects]
        scraps += [self._scrap(upload.key, Waste.TEMPORARY, 0) for upload in uploads]
        return LotVerdict(
            standing=standing,
            whole=lot.usage,
            scraps=tuple(scraps),
            **stays,
            lot=lot,
            objects=objects,
            uploads=uploads,
        )

    def _standing(self, lot: Lot, claims: LotClaims) -> Standing:
        if claims.is_live:
            return Standing.LIVE
        if claims.shards or (lot.attempt is None and claims.has_shards):
            return Standing.PUBLISHED
        return Standing.LATEST if claims.is_known else Standing.ORPHAN

    def _unneeded(self, lot: Lot, claims: LotClaims) -> tuple[StoredObject, ...]:
        """The objects of a lot that rows do not vouch for."""
        one = lot.attempt
        if one is None:
            return () if claims.has_shards else lot.objects
        folder = attempt_url(self.url, one.job_id, one.task_id, one.epoch).removeprefix(self._bucket.url(""))
        stems = [shard_stem(number) for number in claims.shards]
        names = ["{stem}.parquet", "{stem}.json", *CONTAINERS.values()]
        needed = {f"{folder}/{name.format(stem=stem)}" for stem in stems for name in names}
        return tuple(found for found in lot.objects if found.key not in needed)

    def _scrap(self, key: str, waste: Waste, size_bytes: int) -> Scrap:
        return Scrap(parts=tuple(self._bucket.url(key).split("/")), waste=waste, usage=Usage(1, size_bytes))


def _lot(owner: tuple[str, ...], objects: tuple[StoredObject, ...], uploads: tuple[UnfinishedUpload, ...]) -> Lot:
    numbers = [int(number) for number in owner]
    attempt = AttemptFolder(*numbers) if len(numbers) > 1 else None
    return Lot(numbers[0], attempt, objects, uploads)
