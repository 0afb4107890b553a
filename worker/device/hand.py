"""A hand of a CPU's device process: one more process, of one thread, that makes batches of a generate task's images.

An image is a function of model, seed and number alone, and its file one of the image, so that it does not matter who
makes them. A hand is told its task and then numbers; it answers with files and their hashes, and writes nothing. It
ends with its device process.
"""

import argparse
import logging
import signal
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imagemodels.errors import OutOfMemory
from pixmill.interpreter import begin_quickly, importing
from pixmill.logs import log_to_stderr
from worker.assignment import Assignment
from worker.device.failures import explain
from worker.device.wire import Array, Wire, WireClosed

if TYPE_CHECKING:
    from storage.png import Encoder
    from worker.device.made import MadeFiles
    from worker.device.makers import ImageMaker
    from worker.device.warm import WarmModels

log = logging.getLogger("job")


def main() -> None:
    """Entry point of `python -m worker.device.hand`."""
    begin_quickly()
    parser = argparse.ArgumentParser(prog="worker.device.hand")
    parser.add_argument("--socket", type=int, required=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker to hear
    log_to_stderr()
    log.setLevel(logging.WARNING)  # what the device process does as well need not be told once more by each hand
    wire = Wire(socket.socket(fileno=parser.parse_args().socket))
    try:
        _Hand(wire).serve()
    except WireClosed:
        log.debug("the device process has let go of this hand")


class _Hand:
    """Answers each order by one message."""

    def __init__(self, wire: Wire) -> None:
        with importing():
            from worker.device.facts import prepare_torch
            from worker.device.warm import WarmModels

        self._wire = wire
        prepare_torch(threads=1)
        self._warm = WarmModels("cpu", most_threads=1)
        self._job: tuple[ImageMaker, Encoder] | None = None
        wire.send({"say": "hello"})

    def serve(self) -> None:
        """Work until the line is closed.  Raises WireClosed then."""
        while True:
            order, numbers = self._wire.receive()
            try:
                answer, arrays = self._obey(order, numbers)
            except Exception as error:  # noqa: BLE001  the device process judges it as an error of its own
                reason, message = explain(error)
                answer, arrays = {"say": "failed", "reason": reason, "message": message}, ()
            self._wire.send(answer, *arrays)

    def _obey(self, order: Mapping[str, Any], arrays: tuple[Array, ...]) -> tuple[dict[str, Any], tuple[Array, ...]]:
        if order["do"] == "take":
            self._job = _job_of(Assignment.from_json(order["assignment"]), self._warm)
            return {"say": "ready"}, ()
        assert self._job is not None
        made = _made(*self._job, arrays[0])
        return {"say": "made", **made.facts}, made.arrays


def _job_of(assignment: Assignment, warm: "WarmModels") -> "tuple[ImageMaker, Encoder]":
    from worker.device.desk import Desk
    from worker.device.generate import encoder_of, image_maker, spec_of

    desk = Desk(assignment, None, lambda: False)
    return image_maker(desk, warm), encoder_of(spec_of(desk))


def _made(maker: "ImageMaker", encoder: "Encoder", numbers: Array) -> "MadeFiles":
    from worker.device.made import MadeFiles

    began, full = time.perf_counter(), maker.batch_size
    made = maker.made(numbers)
    if maker.batch_size < full:
        raise OutOfMemory(f"{full} images at a time did not fit into memory")
    return MadeFiles.encoded(made, encoder, time.perf_counter() - began)


if __name__ == "__main__":
    main()
