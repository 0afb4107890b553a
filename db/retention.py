"""Retention of model versions: which ones a policy lets go, why the others stay, and the act itself.

The same judgement makes the plan and is made again, under locks, right before anything goes.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from db.aliases import Deed, locked_model
from db.needs import Need, Verdict, needs_of
from db.tables.models import Model, ModelEvent, ModelVersion
from db.versions import Forgotten, mark_removed
from db.workers import database_time
from pixmill.aliases import CHAMPION
from pixmill.retention import Policy


@dataclass(frozen=True, kw_only=True)
class VersionVerdict(Verdict):
    """One version, with every reason why it stays; or, without any, what each rule found."""

    id: int
    reference: str  # NAME@VERSION
    model: str
    job_id: int
    folder: str  # relative to the storage root
    created_at: datetime


def judge_versions(
    session: Session, policy: Policy, higher_is_better: Collection[str], model: str | None = None
) -> list[VersionVerdict]:
    """Judge all versions that are there, or those of one model: by name, the newest first.

    `higher_is_better` are the metrics, as they are called before the @, of which a greater value is better.
    """
    statement = (
        select(ModelVersion)
        .join(Model)
        .where(ModelVersion.removed_at.is_(None))
        .options(joinedload(ModelVersion.model))
        .order_by(Model.name, ModelVersion.version.desc())
    )
    if model is not None:
        statement = statement.where(Model.name == model)
    versions = session.scalars(statement).all()
    places = _Places(versions, higher_is_better)
    champions = _champions(session, policy)
    needs = needs_of(session, versions)
    return [_judge(version, policy, places, champions, needs[version.id]) for version in versions]


class _Places:
    """The place of each version in its model, from 1 on: by number, and by metric among those measured alike."""

    def __init__(self, versions: Iterable[ModelVersion], higher_is_better: Collection[str]) -> None:
        self.by_number: dict[int, int] = {}
        self.by_metric: dict[int, int] = {}
        groups: dict[tuple[int, str | None], list[ModelVersion]] = {}
        for version in versions:  # the newest of a model first
            groups.setdefault((version.model_id, None), []).append(version)
            if version.metric_name is not None and _is_finite(version.metric_value):
                groups.setdefault((version.model_id, version.metric_name), []).append(version)
        for (_model, metric), group in groups.items():
            if metric is None:
                self.by_number |= {version.id: place for place, version in enumerate(group, 1)}
            else:
                sign = -1 if metric.partition("@")[0] in higher_is_better else 1
                ranked = sorted(group, key=lambda each: sign * (each.metric_value or 0.0))
                self.by_metric |= {version.id: place for place, version in enumerate(ranked, 1)}


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _champions(session: Session, policy: Policy) -> set[tuple[int, int]]:
    """(model id, version) of those that became champion, or ceased to be, within the time."""
    if policy.champion_seconds is None:
        return set()
    since = database_time(session) - timedelta(seconds=policy.champion_seconds)
    columns = (ModelEvent.model_id, ModelEvent.from_version, ModelEvent.to_version)
    moves = session.execute(select(*columns).where(ModelEvent.alias == CHAMPION, ModelEvent.at >= since))
    return {(model_id, version) for model_id, *both in moves for version in both if version is not None}


def _judge(
    version: ModelVersion,
    policy: Policy,
    places: _Places,
    champions: Collection[tuple[int, int]],
    needs: Sequence[Need],
) -> VersionVerdict:
    kept, missed = list(needs), ["no alias, job, output or schedule needs it"]
    if version.model.frozen:
        kept.append(Need("frozen", "its model is frozen"))
    for need, why in (
        _by_number(version, policy, places),
        _by_metric(version, policy, places),
        _by_history(version, policy, champions),
    ):
        if need is not None:
            kept.append(need)
        elif why:
            missed.append(why)
    return VersionVerdict(
        id=version.id,
        reference=f"{version.model.name}@{version.version}",
        model=version.model.name,
        job_id=version.job_id,
        folder=version.folder,
        created_at=version.created_at,
        kept=tuple(kept),
        missed=() if kept else tuple(missed),
    )


_Found = tuple[Need | None, str | None]  # what keeps it, or why the rule does not


def _by_number(version: ModelVersion, policy: Policy, places: _Places) -> _Found:
    place = places.by_number[version.id]
    if place == 1:
        return Need("newest", f"{version.model.name} without a number means it"), None
    if policy.last is None:
        return None, "not the newest"
    if place <= policy.last:
        return Need("last", f"among the last {policy.last}"), None
    return None, f"{place - 1} are newer, the last {policy.last} stay"


def _by_metric(version: ModelVersion, policy: Policy, places: _Places) -> _Found:
    if policy.best is None:
        return None, None
    place = places.by_metric.get(version.id)
    if place is None:
        return None, "no metric of its own"
    if place <= policy.best:
        return Need("best", f"number {place} by {version.metric_name}, the best {policy.best} stay"), None
    return None, f"number {place} by {version.metric_name}, the best {policy.best} stay"


def _by_history(version: ModelVersion, policy: Policy, champions: Collection[tuple[int, int]]) -> _Found:
    if policy.champions is None:
        return None, None
    if (version.model_id, version.version) not in champions:
        return None, f"not champion within {policy.champions}"
    return Need("champion", f"was champion within {policy.champions}"), None


def forget_versions(
    session: Session,
    model: str,
    version_ids: Collection[int],
    policy: Policy,
    higher_is_better: Collection[str],
    deed: Deed,
) -> list[Forgotten]:
    """Mark those of these versions of a model as removed that nothing keeps any more at this moment.

    The model's row is locked, so that no alias moves and no version is added meanwhile, and so are those of the
    versions; one that a submit has just chosen stays. Gives whose files may go.  Raises NotFound.
    """
    assert policy.lets_versions_go, "without a rule for versions all of them stay"
    locked_model(session, model)
    free = select(ModelVersion.id).where(ModelVersion.id.in_(list(version_ids))).with_for_update(skip_locked=True)
    mine = set(session.scalars(free))
    going = {
        verdict.id
        for verdict in judge_versions(session, policy, higher_is_better, model)
        if verdict.goes and verdict.id in mine
    }
    return list(_mark(session, going, deed))


def _mark(session: Session, version_ids: Collection[int], deed: Deed) -> Iterator[Forgotten]:
    statement = select(ModelVersion).where(ModelVersion.id.in_(list(version_ids))).order_by(ModelVersion.id)
    for version in session.scalars(statement.options(joinedload(ModelVersion.model))).all():
        mark_removed(session, version, deed)
        yield Forgotten(version.model.name, version.reference, version.folder)
