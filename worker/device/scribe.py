"""A scribe: a process that writes whole shards of a generate task, of pixels that it finds in the shared ring.

It is told a shard, and then, batch by batch, in which slot the images lie; it encodes, hashes and writes them, and
gives the slot back. It needs no torch, and ends with its device process.
"""

import argparse
import logging
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixmill.errors import PixmillError
from pixmill.interpreter import begin_quickly
from pixmill.logs import log_to_stderr
from storage.encoders import find_encoder
from storage.shards import ImageBatch, ShardMeta, ShardRecord, write_shard
from worker.device.made import Made
from worker.device.ring import Ring
from worker.device.spending import Spending
from worker.device.wire import Wire, WireClosed

log = logging.getLogger("job")


def main() -> None:
    """Entry point of `python -m worker.device.scribe`."""
    begin_quickly()
    parser = argparse.ArgumentParser(prog="worker.device.scribe")
    for name in ("--socket", "--ring", "--slots", "--slot-bytes"):
        parser.add_argument(name, type=int, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker to hear
    log_to_stderr()
    wire = Wire(socket.socket(fileno=arguments.socket))
    try:
        _Scribe(wire, Ring(arguments.ring, arguments.slots, arguments.slot_bytes)).serve()
    except WireClosed:
        log.debug("the device process has let go of this scribe")


class _Scribe:
    """Writes one shard after the other."""

    def __init__(self, wire: Wire, ring: Ring) -> None:
        import pyarrow.parquet  # noqa: F401  now, so that the end of the first shard need not wait for it

        self._wire, self._ring = wire, ring
        wire.send({"say": "hello"})

    def serve(self) -> None:
        """Work until the line is closed, or something fails.  Raises WireClosed."""
        while True:
            order, _ = self._wire.receive()
            spending = Spending()
            try:
                record = self._written(order, spending)
                answer = {"say": "shard", "record": record.to_json(), "spent": spending.seconds}
            except PixmillError as error:
                answer = _failure(type(error).__name__, error.message, error.hint)
            except Exception as error:  # the device process makes it the task's failure
                log.exception("shard %d cannot be written", order["number"], exc_info=error)
                answer = _failure(type(error).__name__, str(error), None)
            self._wire.send(answer)
            if answer["say"] == "failed":
                return

    def _written(self, order: Mapping[str, Any], spending: Spending) -> ShardRecord:
        seconds: defaultdict[str, float] = defaultdict(float)  # that others have spent on the shard
        return write_shard(
            Path(order["folder"]),
            order["number"],
            self._batches(order, seconds),
            ShardMeta.from_json(order["meta"]),
            encoder=find_encoder(order["encoder"]),
            format_name=order["format"],
            expected_count=order["count"],
            writing=spending.writing,
            other_seconds=seconds,
        )

    def _batches(self, order: Mapping[str, Any], seconds: defaultdict[str, float]) -> Iterator[ImageBatch]:
        """The images of a shard, as they come; whoever asks for the next ones needs the last ones no more.

        What was spent on them elsewhere is added to `seconds`.
        """
        height, width, channels = order["shape"]
        left = order["count"]
        while left:
            began = time.perf_counter()
            piece, arrays = self._wire.receive()
            seconds["starved_seconds"] += time.perf_counter() - began
            count = piece["count"]
            images = self._ring.images(piece["slot"], (count, height, width, channels))
            made = Made.of(images, piece["kinds"], arrays)
            yield made.batch(piece["first"], np.full(count, order["seed"], dtype=np.int64), None)
            for name, spent in piece["seconds"].items():
                seconds[name] += spent
            self._wire.send({"say": "free", "slot": piece["slot"], "count": count})
            left -= count


def _failure(kind: str, message: str, hint: str | None) -> dict[str, Any]:
    return {"say": "failed", "kind": kind, "message": message, "hint": hint}


if __name__ == "__main__":
    main()
