"""How scribes write the shards of a task: the device makes images, and each scribe is given those of its own shard.

The device makes the next images for whoever lacks them most, so that all scribes are busy. Two batches are under way on
it at a time. A scribe has a few slots of the ring: while all of them are full the device waits for it.
"""

import logging
import selectors
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

import numpy as np

from pixmill.errors import CorruptFile, DiskFull, PermissionDenied, PixmillError, StorageError
from pixmill.stages import Stage
from storage.shards import ShardMeta, ShardRange, ShardRecord, discard_torn
from worker.device.made import Begun, Images, Integers, Made
from worker.device.scribes import Scribe, ScribeLost, Scribes, ScribesLost

SLOT_BYTES = 8 * 1024 * 1024  # of pixels, about
LOOK_SECONDS = 0.1  # between two looks whether the task is to stop
UNDER_WAY = 2  # batches on the device: one is computed while another one is copied

Said = ParamSpec("Said")

log = logging.getLogger("job")


@dataclass(frozen=True, kw_only=True)
class Commission:
    """What scribes shall write for a task, and who makes the images."""

    folder: Path
    shape: tuple[int, int, int]  # height, width and channels of each image
    seed: int
    encoder: str | None  # as people name it
    format_name: str
    batch_images: int  # that the device makes at a time
    meta: Callable[[ShardRange], ShardMeta]
    make_into: Callable[[Integers, Sequence[Images]], Begun]  # begins to make images of these numbers (N,)
    check: Callable[[], None]  # called again and again; may raise to end all of it
    advance: Callable[[int], None]  # called with how many images more, or fewer, are written
    waited: Callable[[float, Mapping[str, float]], None]  # with seconds, and the shares that stages had in them

    @property
    def slot_images(self) -> int:
        """How many images a slot holds."""
        return max(1, min(self.batch_images, SLOT_BYTES // int(np.prod(self.shape))))

    @property
    def slot_bytes(self) -> int:
        """How large a slot has to be."""
        return self.slot_images * int(np.prod(self.shape))


class _Seat:
    """A scribe, and how far it is with the shard that it writes."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe
        self.free = list(scribe.slots)
        self.shard: ShardRange | None = None
        self.given = 0  # images of the shard that are made, or being made
        self.written = 0

    @property
    def wants(self) -> bool:
        """Whether it can be given more images."""
        return self.shard is not None and self.given < self.shard.count and bool(self.free)

    def begin(self, shard: ShardRange, commission: Commission) -> None:
        """Tell it its next shard.  Raises ScribeLost."""
        self.shard, self.given, self.written = shard, 0, 0
        self.scribe.tell(
            {
                "folder": str(commission.folder),
                "number": shard.number,
                "count": shard.count,
                "shape": commission.shape,
                "seed": commission.seed,
                "encoder": commission.encoder,
                "format": commission.format_name,
                "meta": commission.meta(shard).to_json(),
            }
        )

    def next_piece(self, most: int) -> "_Piece":
        """The next images that it wants, and where they go."""
        assert self.shard is not None
        first = self.shard.first_index + self.given
        count = min(most, self.shard.count - self.given)
        self.given += count
        return _Piece(self, self.shard, np.arange(first, first + count, dtype=np.int64), self.free.pop())


@dataclass(frozen=True)
class _Piece:
    """The images of one slot."""

    seat: _Seat
    shard: ShardRange
    numbers: Integers
    slot: int

    def tell(self, made: Made, seconds: Mapping[str, float]) -> None:
        """Let the scribe write what lies in the slot now, unless it was lost meanwhile.  Raises ScribeLost."""
        if self.seat.shard is not self.shard:
            return
        place = {"slot": self.slot, "first": int(self.numbers[0]), "count": len(self.numbers)}
        self.seat.scribe.tell({**place, "kinds": made.kinds, "seconds": seconds}, *made.columns)


@dataclass(frozen=True)
class _Batch:
    """What is made at a time, for one scribe or several."""

    pieces: Sequence[_Piece]
    begun: Begun
    make_seconds: float  # that the device process has spent on it so far
    slot_seconds: float  # for which there was no room for it


class Dictation:
    """The shards of one task, until all are written."""

    def __init__(self, scribes: Scribes, commission: Commission, shards: Iterable[ShardRange]) -> None:
        self._scribes, self._commission = scribes, commission
        self._waiting = deque(shards)
        self._seats = [_Seat(scribe) for scribe in scribes.alive]
        self._under_way: deque[_Batch] = deque()
        self._selector = selectors.DefaultSelector()
        for seat in self._seats:
            self._selector.register(seat.scribe, selectors.EVENT_READ, seat)
        self._is_sound = True
        self._waited = 0.0  # seconds for which the device found no room, since the last batch
        self._unexplained = 0.0  # the same, since a scribe last said what it spends its own on

    def records(self) -> Generator[ShardRecord]:
        """Write all shards, and give each as soon as it is on disk, in any order.

        The shard of a scribe that dies is written anew by another one. Raises ScribesLost when none is left, what a
        scribe could not do, and whatever the commission raises; nothing is left then of shards that are not whole.
        """
        is_done = False
        try:
            while self._waiting or any(seat.shard for seat in self._seats):
                self._commission.check()
                yield from self._hear(0.0 if self._work() else LOOK_SECONDS)
            is_done = True
        finally:
            self._selector.close()
            if not (is_done and self._is_sound):  # in the middle of what nobody wants any more, or some are lost
                self._scribes.end()
            for seat in self._seats:
                self._discard(seat)

    def _work(self) -> bool:
        """Take the device one step further; False when there is nothing to do until a scribe says something."""
        for seat in [seat for seat in self._seats if seat.shard is None and seat.scribe.is_ready]:
            if self._waiting:
                self._or_lose(seat, seat.begin, self._waiting.popleft(), self._commission)
        pieces = self._next_pieces()
        if pieces:
            self._begin(pieces)
        if self._under_way and (not pieces or len(self._under_way) >= UNDER_WAY):
            self._hand_over(self._under_way.popleft())
        return bool(pieces or self._under_way)

    def _next_pieces(self) -> list[_Piece]:
        """The images that are made next: of those scribes that have least before them."""
        pieces: list[_Piece] = []
        images = self._commission.slot_images
        while (len(pieces) + 1) * images <= self._commission.batch_images:
            wanting = [seat for seat in self._seats if seat.wants]
            if not wanting:
                break
            pieces.append(max(wanting, key=lambda seat: len(seat.free)).next_piece(images))
        return pieces

    def _begin(self, pieces: Sequence[_Piece]) -> None:
        ring, shape = self._scribes.ring, self._commission.shape
        places = [ring.images(piece.slot, (len(piece.numbers), *shape)) for piece in pieces]
        began = time.monotonic()
        begun = self._commission.make_into(np.concatenate([piece.numbers for piece in pieces]), places)
        self._under_way.append(_Batch(pieces, begun, time.monotonic() - began, self._waited))
        self._waited = 0.0

    def _hand_over(self, batch: _Batch) -> None:
        """Wait until the images of a batch are where they shall be, and tell the scribes."""
        began = time.monotonic()
        batch.begun.wait()
        make_seconds = batch.make_seconds + time.monotonic() - began
        self._commission.waited(make_seconds, {Stage.DEVICE: 1.0})
        seconds = {"make_seconds": make_seconds, "slot_seconds": batch.slot_seconds}
        whole = sum(len(piece.numbers) for piece in batch.pieces)
        for piece, made in zip(batch.pieces, batch.begun.pieces, strict=True):
            share = {name: value * len(piece.numbers) / whole for name, value in seconds.items()}
            self._or_lose(piece.seat, piece.tell, made, share)

    def _hear(self, seconds: float) -> Iterator[ShardRecord]:
        """Take in what scribes have said, waiting for so long; gives the shards that are whole."""
        began = time.monotonic()
        spoken = self._selector.select(seconds)
        if seconds:
            waited = time.monotonic() - began
            self._waited += waited
            self._unexplained += waited
        for key, _ in spoken:
            try:
                record = self._heard(key.data, key.data.scribe.hear())
            except ScribeLost as error:
                self._lose(key.data, error)
            else:
                if record is not None:
                    yield record

    def _heard(self, seat: _Seat, message: Mapping[str, object]) -> ShardRecord | None:
        match message:
            case {"say": "free", "slot": int(slot), "count": int(count)}:
                seat.free.append(slot)
                seat.written += count
                self._commission.advance(count)
            case {"say": "shard", "record": dict(record), "spent": dict(shares)}:
                seat.shard = None
                self._commission.waited(self._unexplained, shares)
                self._unexplained = 0.0
                return ShardRecord.from_json(record)
            case {"say": "failed", "kind": kind, "message": text, "hint": hint}:
                raise _failure(str(kind), str(text), None if hint is None else str(hint))
        return None

    def _or_lose(self, seat: _Seat, speak: Callable[Said, None], *args: Said.args, **kwargs: Said.kwargs) -> None:
        try:
            speak(*args, **kwargs)
        except ScribeLost as error:
            self._lose(seat, error)

    def _lose(self, seat: _Seat, error: ScribeLost) -> None:
        """Leave the shard of a scribe that has died to another one.  Raises ScribesLost when there is none."""
        log.warning("a process that writes shards is lost: %s", error)
        self._is_sound = False
        self._selector.unregister(seat.scribe)
        self._scribes.lose(seat.scribe)
        self._seats.remove(seat)
        if seat.shard is not None:
            self._waiting.appendleft(seat.shard)
            self._commission.advance(-seat.written)
        self._discard(seat)
        if not self._seats:
            raise ScribesLost("all processes that write shards have died", hint="see whether the memory is short")

    def _discard(self, seat: _Seat) -> None:
        """Remove what a scribe that is gone has left unfinished."""
        if seat.shard is not None:
            discard_torn(self._commission.folder, seat.shard.number)
        seat.shard = None


def _failure(kind: str, message: str, hint: str | None) -> PixmillError:
    """What a scribe could not do, as an error of its kind."""
    kinds = {error.__name__: error for error in (DiskFull, PermissionDenied, CorruptFile, StorageError)}
    if kind in kinds:
        return kinds[kind](message, hint=hint)
    return StorageError(f"{kind}: {message} (the traceback is in the worker's log)", hint=hint)
