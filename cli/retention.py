"""What a retention policy lets go of versions and training states, and what stays and why: planned and told."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.context import Workspace
from cli.output import Column, Row
from client.wording import plural, size
from db.checkpoints import CheckpointVerdict, judge_checkpoints
from db.retention import VersionVerdict, judge_versions
from imagemodels.traits import HIGHER_IS_BETTER
from pixmill.errors import Conflict
from pixmill.retention import Policy
from storage.garbage.weighing import Usage
from storage.paths import Layout
from storage.removing import path_scraps

COLUMNS = [
    Column(title=""),
    Column(title="WHAT", shrinks=True, least=10),
    Column(title="SIZE", align="right"),
    Column(title="WHY", shrinks=True, least=32),
]


Verdict = VersionVerdict | CheckpointVerdict


def path_of(verdict: Verdict) -> str:
    """Its file or folder, relative to the storage root."""
    return verdict.folder if isinstance(verdict, VersionVerdict) else verdict.path


@dataclass(frozen=True, kw_only=True)
class Item:
    """A version or a training state, and how much lies there."""

    verdict: Verdict
    usage: Usage

    @property
    def path(self) -> str:
        """Its file or folder, relative to the storage root."""
        return path_of(self.verdict)

    @property
    def sort(self) -> str:
        """What it is."""
        return "version" if isinstance(self.verdict, VersionVerdict) else "checkpoint"

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        if isinstance(self.verdict, VersionVerdict):
            return self.verdict.reference
        kinds = " and ".join(kind.value for kind in self.verdict.kinds)
        return f"{kinds} checkpoint of job {self.verdict.job_id} at {self.verdict.images_seen:,}"

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON."""
        version = self.verdict.reference if isinstance(self.verdict, VersionVerdict) else None
        return {
            "sort": self.sort,
            "version": version,
            "job_id": self.verdict.job_id,
            "path": self.path,
            "goes": self.verdict.goes,
            "kept": [{"reason": need.sort, "text": need.text} for need in self.verdict.kept],
            "missed": list(self.verdict.missed),
            "files": self.usage.files,
            "bytes": self.usage.size_bytes,
        }

    def row(self) -> Row:
        """One line of a table."""
        reasons = [need.text for need in self.verdict.kept] or list(self.verdict.missed)
        return ["goes" if self.verdict.goes else "stays", self.name, size(self.usage.size_bytes), "; ".join(reasons)]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All versions and training states that a policy is about."""

    policy: Policy
    items: Sequence[Item]

    @property
    def going(self) -> list[Item]:
        """What goes."""
        return [item for item in self.items if item.verdict.goes]

    @property
    def staying(self) -> list[Item]:
        """What stays."""
        return [item for item in self.items if not item.verdict.goes]

    @property
    def kept_by_rule(self) -> list[Item]:
        """What another policy might let go."""
        return [item for item in self.items if item.verdict.is_kept_by_rule]

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "policy": str(self.policy),
            "goes": _sums(self.going),
            "stays": _sums(self.staying),
            "items": [item.to_json() for item in self.items],
        }


def amount(items: Iterable[Item]) -> str:
    """How much that is.

    >>> amount([])
    'nothing'
    """
    found = list(items)
    counts = Counter(item.sort for item in found)
    words = " and ".join(plural(counts[sort], sort) for sort in ("version", "checkpoint") if counts[sort])
    return f"{words} ({size(usage_of_items(found).size_bytes)})" if words else "nothing"


def usage_of_items(items: Iterable[Item]) -> Usage:
    """The sum of all."""
    return sum((item.usage for item in items), Usage())


def _sums(items: Sequence[Item]) -> dict[str, int]:
    counts, usage = Counter(item.sort for item in items), usage_of_items(items)
    sums = {"versions": counts["version"], "checkpoints": counts["checkpoint"]}
    return {**sums, "files": usage.files, "bytes": usage.size_bytes}


def make_plan(workspace: Workspace, policy: Policy) -> Plan:
    """Judge everything that the policy is about.

    Raises DatabaseUnreachable or StorageError; Conflict where files are to go and not one of them is there, as with a
    storage root that is not the database's.
    """
    verdicts: list[Verdict] = []
    with workspace.database.read() as session:
        if policy.lets_versions_go:
            verdicts += judge_versions(session, policy, HIGHER_IS_BETTER)
        if policy.checkpoints is not None:
            verdicts += judge_checkpoints(session, policy)
    layout = workspace.layout
    plan = Plan(policy=policy, items=[_weighed(layout, verdict) for verdict in verdicts])
    if plan.going and not usage_of_items(plan.items).files:
        raise Conflict(
            f"database {workspace.database.label} names {amount(plan.items)}, and not one of them lies below "
            f"{layout.root}: do the two belong together?",
            hint="pixmill config show --sources",
        )
    return plan


def _weighed(layout: Layout, verdict: Verdict) -> Item:
    return Item(verdict=verdict, usage=Usage.total(scrap.usage for scrap in path_scraps(layout, path_of(verdict))))
