"""Names that stand for one version of a model and move: champion, previous, challenger, and an operator's own.

Every move is an event that is never changed. Whoever moves one locks the model's row first, so that moves of one model
come one after the other, and its events are numbered without a gap.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, null, select
from sqlalchemy.orm import Session

from db.periods import ALWAYS, Period
from db.registry import ALIAS, get_model, parse_reference, present_version
from db.tables.models import Model, ModelAlias, ModelEvent, ModelVersion
from db.telling import tell
from pixmill.aliases import CHALLENGER, CHAMPION, PREVIOUS
from pixmill.errors import Conflict, NotFound, UserError
from pixmill.names import suggestion

KNOWN = (CHAMPION, PREVIOUS, CHALLENGER)
TOLD = ("promote", "rollback")  # moves that operators are told of


@dataclass(frozen=True, kw_only=True)
class Deed:
    """Who acts on a model, and why."""

    actor: str
    reason: str | None = None
    evidence: Mapping[str, Any] | None = None  # what it rests on, such as a comparison


@dataclass(frozen=True)
class Move:
    """An alias that stands for another version than before (None: for none), or a version that goes."""

    alias: str | None
    before: int | None
    after: int | None


def promote(
    session: Session, text: str, alias: str, deed: Deed, *, expect: int | None = None
) -> tuple[str, list[Move]]:
    """Let `champion` or `challenger` stand for the version that `text` names; gives `NAME@VERSION`, and what moved.

    The champion before becomes `previous`, and a challenger that becomes champion is no longer challenger. With
    `expect` only while the alias stands for that version. Raises NotFound; UserError for a name without a version;
    Conflict for a frozen model, an alias that has moved meanwhile, or a model that is still trained.
    """
    version = locked_version(session, text)
    model = version.model
    if model.frozen:
        raise Conflict(frozen_text(model), hint=f"pixmill model unfreeze {model.name}")
    aliases = aliases_of(session, model.id)
    _require_expected(model.name, alias, aliases.get(alias), expect)
    if aliases.get(alias) == version.version:
        return version.reference, []
    targets: dict[str, int | None] = {alias: version.version}
    if alias == CHAMPION:
        if CHAMPION in aliases:
            targets[PREVIOUS] = aliases[CHAMPION]
        if aliases.get(CHALLENGER) == version.version:
            targets[CHALLENGER] = None
    return version.reference, _move_all(session, model, aliases, targets, "promote", deed)


def roll_back(session: Session, name: str, deed: Deed, *, expect: int | None = None) -> list[Move]:
    """Let `champion` and `previous` change places, also of a frozen model.

    With `expect` only while the champion is that version. Raises NotFound; Conflict when there is no previous champion,
    or the champion is another one meanwhile.
    """
    model = locked_model(session, name)
    aliases = aliases_of(session, model.id)
    _require_expected(name, CHAMPION, aliases.get(CHAMPION), expect)
    if PREVIOUS not in aliases:
        raise Conflict(f"model {name} has no previous champion to go back to", hint=f"pixmill model history {name}")
    targets: dict[str, int | None] = {CHAMPION: aliases[PREVIOUS], PREVIOUS: aliases[CHAMPION]}
    return _move_all(session, model, aliases, targets, "rollback", deed)


def set_alias(
    session: Session, text: str, alias: str, deed: Deed, *, expect: int | None = None
) -> tuple[str, list[Move]]:
    """Let a name of an operator's own stand for the version that `text` names; gives `NAME@VERSION`, and what moved.

    Also of a frozen model. Raises NotFound; UserError for a name that cannot be, or without a version; Conflict for an
    alias that has moved meanwhile, or a model that is still trained.
    """
    if alias in KNOWN:
        raise UserError(f"{alias} is moved by promotions alone", hint="pixmill model promote, or model rollback")
    if not re.fullmatch(ALIAS, alias):
        raise UserError(
            f"{alias!r} cannot be an alias",
            hint="use letters, digits, dots, dashes and underscores, 64 at most, beginning with a letter",
        )
    version = locked_version(session, text)
    aliases = aliases_of(session, version.model_id)
    _require_expected(version.model.name, alias, aliases.get(alias), expect)
    return version.reference, _move_all(session, version.model, aliases, {alias: version.version}, "set_alias", deed)


def remove_alias(session: Session, name: str, alias: str, deed: Deed) -> list[Move]:
    """Let an alias stand for nothing.  Raises NotFound, or UserError for `champion` and `previous`."""
    if alias in (CHAMPION, PREVIOUS):
        raise UserError(f"{alias} cannot be removed", hint=f"pixmill model rollback {name}")
    model = locked_model(session, name)
    aliases = aliases_of(session, model.id)
    if alias not in aliases:
        hint = suggestion(alias, aliases) if aliases else "it has none"
        raise NotFound(f"model {name} has no alias {alias!r}", hint=hint)
    return _move_all(session, model, aliases, {alias: None}, "remove_alias", deed)


def freeze(session: Session, name: str, deed: Deed) -> bool:
    """Let nothing of this model be promoted; False if it was frozen before.  Raises NotFound."""
    return _set_frozen(session, name, frozen=True, deed=deed)


def unfreeze(session: Session, name: str, deed: Deed) -> bool:
    """Let it be promoted again; False if it was not frozen.  Raises NotFound."""
    return _set_frozen(session, name, frozen=False, deed=deed)


def frozen_text(model: Model) -> str:
    """That a model is frozen, and why."""
    return f"model {model.name} is frozen" + (f": {model.frozen_reason}" if model.frozen_reason else "")


def aliases_of(session: Session, model_id: int) -> dict[str, int]:
    """Alias → version, of one model."""
    rows = session.scalars(select(ModelAlias).where(ModelAlias.model_id == model_id))
    return {row.name: row.version for row in rows}


def aliased_version(session: Session, name: str, alias: str) -> int | None:
    """The version of a model that an alias stands for; None: for none, or there is no such model."""
    of_model = select(ModelAlias.version).join(Model).where(Model.name == name, ModelAlias.name == alias)
    return session.scalars(of_model).one_or_none()


def aliases_by_version(session: Session) -> dict[tuple[int, int], list[str]]:
    """(model id, version) → its aliases, champion first, of all models."""
    found: dict[tuple[int, int], list[str]] = {}
    for row in session.scalars(select(ModelAlias)):
        found.setdefault((row.model_id, row.version), []).append(row.name)
    return {key: sorted(names, key=_place) for key, names in found.items()}


def champions(session: Session) -> dict[str, int]:
    """Model → its champion, of all that have one."""
    found = select(Model.name, ModelAlias.version).join(Model, Model.id == ModelAlias.model_id)
    return {name: version for name, version in session.execute(found.where(ModelAlias.name == CHAMPION))}  # noqa: C416


def _place(alias: str) -> tuple[int, str]:
    return (KNOWN.index(alias) if alias in KNOWN else len(KNOWN), alias)


def model_events(session: Session, model_id: int, period: Period = ALWAYS) -> Sequence[ModelEvent]:
    """All events of a model, the newest first."""
    of_model = select(ModelEvent).where(ModelEvent.model_id == model_id, *period.bounds(ModelEvent.at))
    return session.scalars(of_model.order_by(ModelEvent.number.desc())).all()


def add_model_event(session: Session, model_id: int, action: str, deed: Deed, move: Move | None = None) -> None:
    """Add the next event of a model whose row this transaction has locked."""
    last = session.scalar(select(func.max(ModelEvent.number)).where(ModelEvent.model_id == model_id))
    row = ModelEvent(
        model_id=model_id,
        number=(last or 0) + 1,
        actor=deed.actor,
        action=action,
        alias=move.alias if move else None,
        from_version=move.before if move else None,
        to_version=move.after if move else None,
        reason=deed.reason,
        evidence=null() if deed.evidence is None else dict(deed.evidence),
    )
    session.add(row)
    session.flush()


def locked_version(session: Session, text: str) -> ModelVersion:
    """The version that `text` names once the row of its model is locked.

    Raises NotFound; UserError for a name that would mean another version after the next train job; Conflict while the
    model is being trained.
    """
    reference = parse_reference(text)
    found = present_version(session, text)
    if reference.job_id is None and reference.version is None and reference.alias is None:
        raise UserError(f"{text} names no version", hint=f"the newest is {found.reference}")
    locked_model(session, found.model.name)
    session.expire_all()  # what was read before the lock may have changed
    return present_version(session, text)


def locked_model(session: Session, name: str) -> Model:
    """The model's row, locked until the transaction ends; others may still refer to it.  Raises NotFound."""
    get_model(session, name)
    statement = select(Model).where(Model.name == name).with_for_update(key_share=True)
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def _require_expected(name: str, alias: str, found: int | None, expected: int | None) -> None:
    if expected is None or (found or 0) == expected:
        return
    stands = "for none" if found is None else f"for {name}@{found}"
    was = "for none" if expected == 0 else f"for {name}@{expected}"
    raise Conflict(
        f"{alias} of {name} stands {stands}; expected was {was}: the alias has moved meanwhile",
        hint=f"pixmill model history {name}",
    )


def _move_all(
    session: Session,
    model: Model,
    aliases: Mapping[str, int],
    targets: Mapping[str, int | None],
    action: str,
    deed: Deed,
) -> list[Move]:
    moves = [Move(alias, aliases.get(alias), after) for alias, after in targets.items() if aliases.get(alias) != after]
    if moves and action in TOLD:
        _tell(session, model, action, deed, moves[0])
    for move in moves:
        session.execute(delete(ModelAlias).where(ModelAlias.model_id == model.id, ModelAlias.name == move.alias))
        if move.after is not None:
            session.add(ModelAlias(model_id=model.id, name=move.alias, version=move.after))
        add_model_event(session, model.id, action, deed, move)
    return moves


def _set_frozen(session: Session, name: str, *, frozen: bool, deed: Deed) -> bool:
    model = locked_model(session, name)
    if model.frozen == frozen:
        return False
    model.frozen, model.frozen_reason = frozen, deed.reason if frozen else None
    action = "freeze" if frozen else "unfreeze"
    add_model_event(session, model.id, action, deed)
    _tell(session, model, action, deed)
    return True


def _tell(session: Session, model: Model, action: str, deed: Deed, move: Move | None = None) -> None:
    facts: dict[str, Any] = {"model": model.name, "actor": deed.actor, "reason": deed.reason}
    if move is not None:
        facts |= {"alias": move.alias, "from_version": move.before, "to_version": move.after}
    tell(session, f"model.{action}", f"model {model.name}", facts)
