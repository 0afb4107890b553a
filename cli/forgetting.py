"""The removal of what a retention plan lets go.

Rows go first, in one transaction for a batch, which judges them again under locks; then their files. Whoever is killed
in between leaves files without a row, which the next collection finds; never a row without files.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar

from sqlalchemy.orm import Session

from cli.context import Workspace, user_name
from cli.errors import report
from cli.retention import Item, Plan, path_of
from db.aliases import Deed
from db.checkpoints import CheckpointVerdict, forget_checkpoints
from db.retention import VersionVerdict, forget_versions
from imagemodels.traits import HIGHER_IS_BETTER
from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import PermissionDenied, StorageError
from pixmill.retention import Policy
from storage.garbage.removal import remove
from storage.removing import path_scraps

BATCH = 50  # versions of a model, or jobs, that are judged again and forgotten in one transaction

T = TypeVar("T")
Forget = Callable[[Session], Sequence[str]]  # gives the paths that may go


class Removal:
    """The removal of what a plan says, and how far it has come."""

    def __init__(self, workspace: Workspace, plan: Plan) -> None:
        self._database = workspace.database
        self._layout = workspace.layout
        self._plan = plan
        self.removed: list[Item] = []
        self.spared: list[Item] = []  # what was needed, or gone, by the time it should go
        self.failures = 0  # whose files could not be removed; the next collection tries again

    @property
    def policy(self) -> Policy:
        """By which it is done."""
        return self._plan.policy

    def run(self) -> None:
        """Forget and remove batch after batch.  Raises DatabaseUnreachable."""
        items = {item.path: item for item in self._plan.going}
        verdicts = [item.verdict for item in items.values()]
        versions = [verdict for verdict in verdicts if isinstance(verdict, VersionVerdict)]
        checkpoints = [verdict for verdict in verdicts if isinstance(verdict, CheckpointVerdict)]
        for batch, forget in _version_batches(versions, self.policy):
            self._remove([items[path_of(verdict)] for verdict in batch], forget)
        for states, forget in _checkpoint_batches(checkpoints, self.policy):
            self._remove([items[path_of(verdict)] for verdict in states], forget)

    def _remove(self, batch: Sequence[Item], forget: Forget) -> None:
        paths = set(self._database.transact(forget))
        reach(CrashPoint.GC_FORGOT)
        for item in batch:
            if item.path not in paths:
                self.spared.append(item)
                continue
            try:
                remove(self._layout.root, path_scraps(self._layout, item.path))
            except (PermissionDenied, StorageError) as error:  # of one folder; the others go nevertheless
                self.failures += 1
                report(error)
            else:
                self.removed.append(item)


def _version_batches(
    verdicts: Sequence[VersionVerdict], policy: Policy
) -> Iterator[tuple[Sequence[VersionVerdict], Forget]]:
    deed = Deed(actor=user_name(), reason=f"retention, {policy}")
    for model, group in groupby(verdicts, lambda verdict: verdict.model):
        for batch in _batches(list(group)):
            ids = [verdict.id for verdict in batch]
            yield batch, partial(_forget_versions, model=model, ids=ids, policy=policy, deed=deed)


def _forget_versions(session: Session, model: str, ids: Sequence[int], policy: Policy, deed: Deed) -> list[str]:
    return [version.folder for version in forget_versions(session, model, ids, policy, HIGHER_IS_BETTER, deed)]


def _checkpoint_batches(
    verdicts: Sequence[CheckpointVerdict], policy: Policy
) -> Iterator[tuple[Sequence[CheckpointVerdict], Forget]]:
    jobs = [list(group) for _job_id, group in groupby(verdicts, lambda verdict: verdict.job_id)]
    for groups in _batches(jobs):
        batch = [verdict for group in groups for verdict in group]
        job_ids = sorted({verdict.job_id for verdict in batch})
        paths = {verdict.path for verdict in batch}
        yield batch, partial(forget_checkpoints, job_ids=job_ids, paths=paths, policy=policy, actor=user_name())


def _batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[start : start + BATCH] for start in range(0, len(things), BATCH))
