from functools import partial
from typing import Any

import pytest

from db.aliases import (
    Deed,
    Move,
    aliases_by_version,
    aliases_of,
    freeze,
    model_events,
    promote,
    remove_alias,
    roll_back,
    set_alias,
    unfreeze,
)
from db.engine import Database
from db.registry import get_model, resolve_model
from db.tables.models import ModelEvent, ModelVersion
from pixmill.errors import Conflict, NotFound, UserError
from tests import rows
from tests.db.test_registry import trained
from tests.rows import act

ANN = Deed(actor="ann", reason="it is better")


@pytest.fixture
def line(database: Database) -> Database:
    """Three versions of one model."""
    for _ in range(3):
        trained(database)
    return database


def aliases(database: Database) -> dict[str, int]:
    with database.read() as session:
        return aliases_of(session, get_model(session, "digits").id)


def events(database: Database) -> list[ModelEvent]:
    """Oldest first."""
    with database.read() as session:
        return list(model_events(session, get_model(session, "digits").id))[::-1]


def moves(database: Database) -> list[tuple[Any, ...]]:
    return [(row.number, row.action, row.alias, row.from_version, row.to_version) for row in events(database)]


def champion(database: Database, version: int, **more: Any) -> list[Move]:
    return act(database, promote, f"digits@{version}", "champion", ANN, **more)[1]


def test_a_new_champion_makes_the_old_one_previous(line: Database) -> None:
    assert champion(line, 1) == [Move("champion", None, 1)]
    evidence = {"kid": [0.5, 0.25], "gate": "PROMOTE"}
    deed = Deed(actor="bob", reason="night of the 21st", evidence=evidence)
    version, moved = act(line, promote, "digits@3", "champion", deed)
    assert (version, moved) == ("digits@3", [Move("champion", 1, 3), Move("previous", None, 1)])
    assert aliases(line) == {"champion": 3, "previous": 1}
    assert moves(line) == [
        (1, "promote", "champion", None, 1),
        (2, "promote", "champion", 1, 3),
        (3, "promote", "previous", None, 1),
    ]
    first, last = events(line)[0], events(line)[-1]
    assert (first.actor, first.reason, first.evidence) == ("ann", "it is better", None)
    assert (last.actor, last.reason, last.evidence) == ("bob", "night of the 21st", evidence)
    assert first.at < last.at
    assert champion(line, 3) == [], "it is champion already"
    assert len(events(line)) == 3


def test_an_alias_names_its_version_until_it_moves(line: Database) -> None:
    champion(line, 1)
    with line.read() as session:
        found = resolve_model(session, "digits@champion")
        assert isinstance(found, ModelVersion)
        assert (found.version, found.model.name, found.dataset.name) == (1, "digits", "digits")
    champion(line, 2)
    with line.read() as session:
        versions = [resolve_model(session, f"digits@{name}") for name in ("champion", "previous")]
        assert [row.version for row in versions if isinstance(row, ModelVersion)] == [2, 1]
        assert aliases_by_version(session) == {(1, 2): ["champion"], (1, 1): ["previous"]}


def test_a_challenger_that_wins_is_challenger_no_more(line: Database) -> None:
    champion(line, 1)
    act(line, promote, "digits@2", "challenger", ANN)
    assert aliases(line) == {"champion": 1, "challenger": 2}
    act(line, promote, "digits@challenger", "champion", ANN)
    assert aliases(line) == {"champion": 2, "previous": 1}
    assert moves(line)[-1] == (5, "promote", "challenger", 2, None)


def test_a_rollback_is_one_step_and_there_and_back(line: Database) -> None:
    with pytest.raises(Conflict, match="has no previous champion"):
        act(line, roll_back, "digits", ANN)
    champion(line, 1)
    champion(line, 2)
    act(line, freeze, "digits", ANN)
    assert act(line, roll_back, "digits", ANN, expect=2) == [Move("champion", 2, 1), Move("previous", 1, 2)]
    with pytest.raises(Conflict, match=r"champion of digits stands for digits@1; expected was for digits@2"):
        act(line, roll_back, "digits", ANN, expect=2)
    act(line, roll_back, "digits", ANN)
    assert aliases(line) == {"champion": 2, "previous": 1}


def test_nothing_of_a_frozen_model_is_promoted(line: Database) -> None:
    assert act(line, freeze, "digits", Deed(actor="ann", reason="delivery"))
    assert not act(line, freeze, "digits", ANN)
    for alias in ("champion", "challenger"):
        with pytest.raises(Conflict, match="model digits is frozen: delivery") as caught:
            act(line, promote, "digits@1", alias, ANN)
        assert caught.value.hint == "pixmill model unfreeze digits"
    act(line, set_alias, "digits@1", "beta", ANN)
    assert act(line, unfreeze, "digits", ANN)
    assert not act(line, unfreeze, "digits", ANN)
    champion(line, 1)
    assert [row.action for row in events(line)] == ["freeze", "set_alias", "unfreeze", "promote"]
    assert aliases(line) == {"beta": 1, "champion": 1}


def test_own_names_are_set_moved_and_removed(line: Database) -> None:
    assert act(line, set_alias, "digits@1", "beta", ANN)[1] == [Move("beta", None, 1)]
    assert act(line, set_alias, "digits@2", "beta", ANN, expect=1)[1] == [Move("beta", 1, 2)]
    assert act(line, set_alias, "digits@beta", "gamma", ANN)[1] == [Move("gamma", None, 2)]
    with pytest.raises(NotFound, match="no alias 'betta'") as caught:
        act(line, remove_alias, "digits", "betta", ANN)
    assert caught.value.hint == "did you mean 'beta'?"
    assert act(line, remove_alias, "digits", "beta", ANN) == [Move("beta", 2, None)]
    with line.read() as session, pytest.raises(NotFound, match="model digits has no alias 'gama'") as caught:
        resolve_model(session, "digits@gama")
    assert caught.value.hint == "did you mean digits@gamma?"


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger", "7", "a b", "", "ä", "x" * 65])
def test_what_cannot_be_an_own_name_is_refused(line: Database, alias: str) -> None:
    with pytest.raises(UserError):
        act(line, set_alias, "digits@1", alias, ANN)
    assert aliases(line) == {}


def test_champion_and_previous_are_not_removed(line: Database) -> None:
    champion(line, 1)
    act(line, promote, "digits@2", "challenger", ANN)
    for alias in ("champion", "previous"):
        with pytest.raises(UserError, match=f"{alias} cannot be removed"):
            act(line, remove_alias, "digits", alias, ANN)
    act(line, remove_alias, "digits", "challenger", ANN)
    assert aliases(line) == {"champion": 1}


def test_a_name_that_may_soon_mean_another_version_is_not_promoted(line: Database) -> None:
    with pytest.raises(UserError, match="digits names no version") as caught:
        act(line, promote, "digits", "champion", ANN)
    assert caught.value.hint == "the newest is digits@3"
    with pytest.raises(NotFound, match="no model 'digits@9'"):
        champion(line, 9)
    waiting = rows.add(line)
    with pytest.raises(Conflict, match=f"train job {waiting} has no model yet"):
        act(line, promote, f"job:{waiting}", "champion", ANN)
    with pytest.raises(NotFound, match="there is no model 'digts'"):
        act(line, roll_back, "digts", ANN)


def test_of_two_that_expect_the_same_champion_one_wins(line: Database) -> None:
    champion(line, 1)
    acts = [partial(champion, line, version, expect=1) for version in (2, 3)]
    found = rows.run_all(*acts)
    lost = [each for each in found if isinstance(each, Conflict)]
    (won,) = [each for each in found if not isinstance(each, Exception)]
    assert "the alias has moved meanwhile" in lost[0].message
    assert aliases(line) == {"champion": won[0].after, "previous": 1}
    assert len(events(line)) == 3


def test_the_first_champion_is_expected_to_be_none(line: Database) -> None:
    champion(line, 1, expect=0)
    with pytest.raises(Conflict, match=r"stands for digits@1; expected was for none"):
        champion(line, 2, expect=0)


def test_the_history_of_many_that_act_at_once_has_no_gap_and_no_step_that_does_not_follow(line: Database) -> None:
    act_ = partial(act, line)
    busy = [partial(champion, line, version) for version in (1, 2, 3, 1)]
    busy += [partial(act_, set_alias, f"digits@{version}", "beta", ANN) for version in (1, 2)]
    found = rows.run_all(*busy, partial(trained, line))
    assert [each for each in found if isinstance(each, Exception)] == []
    found_events = events(line)
    assert [row.number for row in found_events] == list(range(1, len(found_events) + 1))
    stands: dict[str, int | None] = {}
    for row in found_events:
        assert row.alias is not None
        assert stands.get(row.alias) == row.from_version
        stands[row.alias] = row.to_version
    assert {alias: version for alias, version in stands.items() if version is not None} == aliases(line)
