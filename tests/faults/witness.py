"""A witness inside the database: triggers that note what the product cannot leave out, whoever writes it.

The product's own events and counters tell what it believes; these rows tell what happened. Checkpoint rows that the
product deletes when newer ones come stay known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text, inspect, select, text
from sqlalchemy.orm import Session

from db.engine import Database
from db.types import UtcTime, now

_metadata = MetaData()
_id = BigInteger().with_variant(Integer(), "sqlite")

MOVES = Table(
    "witness_moves",
    _metadata,
    Column("id", _id, primary_key=True),
    Column("task_id", BigInteger, nullable=False),
    Column("old_state", String(32), nullable=False),
    Column("new_state", String(32), nullable=False),
    Column("old_epoch", BigInteger, nullable=False),
    Column("new_epoch", BigInteger, nullable=False),
    Column("old_seq", BigInteger, nullable=False),
    Column("new_seq", BigInteger, nullable=False),
    Column("at", UtcTime, server_default=now(), nullable=False),
)
SAVES = Table(
    "witness_saves",
    _metadata,
    Column("id", _id, primary_key=True),
    Column("checkpoint_id", BigInteger, nullable=False),
    Column("task_id", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("images_seen", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("at", UtcTime, server_default=now(), nullable=False),
)

_MOVED = "OLD.state <> NEW.state OR OLD.lease_epoch <> NEW.lease_epoch OR OLD.dispatch_seq <> NEW.dispatch_seq"
_MOVE = (
    "INSERT INTO witness_moves (task_id, old_state, new_state, old_epoch, new_epoch, old_seq, new_seq) VALUES "
    "(NEW.id, OLD.state, NEW.state, OLD.lease_epoch, NEW.lease_epoch, OLD.dispatch_seq, NEW.dispatch_seq);"
)
_SAVE = (
    "INSERT INTO witness_saves (checkpoint_id, task_id, epoch, kind, images_seen, path) VALUES "
    "(NEW.id, NEW.task_id, NEW.lease_epoch, NEW.kind, NEW.images_seen, NEW.path);"
)
_SQLITE = (
    f"CREATE TRIGGER witness_move AFTER UPDATE ON tasks WHEN {_MOVED} BEGIN {_MOVE} END",
    f"CREATE TRIGGER witness_save AFTER INSERT ON checkpoints BEGIN {_SAVE} END",
)
_POSTGRESQL = (
    f"CREATE FUNCTION witness_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_MOVE} RETURN NEW; END $$",
    f"CREATE FUNCTION witness_save() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_SAVE} RETURN NEW; END $$",
    f"CREATE TRIGGER witness_move AFTER UPDATE ON tasks FOR EACH ROW WHEN ({_MOVED}) EXECUTE FUNCTION witness_move()",
    "CREATE TRIGGER witness_save AFTER INSERT ON checkpoints FOR EACH ROW EXECUTE FUNCTION witness_save()",
)


@dataclass(frozen=True)
class Move:
    """A change of a task's state, epoch or dispatch number."""

    id: int
    task_id: int
    old_state: str
    new_state: str
    old_epoch: int
    new_epoch: int
    old_seq: int
    new_seq: int
    at: datetime


@dataclass(frozen=True)
class Save:
    """A checkpoint row, from the moment in which it was inserted."""

    id: int
    checkpoint_id: int
    task_id: int
    epoch: int
    kind: str
    images_seen: int
    path: str
    at: datetime


def install_witness(database: Database) -> None:
    """Let the database note moves and checkpoints from now on."""
    with database.write() as session:
        _metadata.create_all(session.connection())
        for statement in _SQLITE if database.is_sqlite else _POSTGRESQL:
            session.execute(text(statement))


def read_witness(session: Session) -> tuple[Sequence[Move], Sequence[Save]]:
    """What was noted, in order; nothing where no witness is installed."""
    if not inspect(session.connection()).has_table(MOVES.name):
        return (), ()
    moves = [Move(*row) for row in session.execute(select(MOVES).order_by(MOVES.c.id))]
    saves = [Save(*row) for row in session.execute(select(SAVES).order_by(SAVES.c.id))]
    return moves, saves
