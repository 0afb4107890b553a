"""The hands of a CPU's device process: they make the image files of a generate task, a batch each, on all cores.

One thread a process: the threads of one operation wait for each other more than they work, and all but stand still as
soon as somebody else wants a core. The device process itself puts the batches in order and writes the shards.
"""

import logging
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

from pixmill.interpreter import python_command
from worker.assignment import Assignment
from worker.device.made import Integers, Made, MadeFiles
from worker.device.memory import memory_available
from worker.device.pinning import die_with_parent
from worker.device.wire import Array, Wire, WireClosed

BYTES_EACH = 500_000_000  # of memory that a hand needs, about
AHEAD = 2  # batches of each hand that are under way or wait to be written: what bounds the memory
LOOK_SECONDS = 0.1  # between two looks whether the task is to stop

log = logging.getLogger("job")


class HandLost(Exception):
    """A hand has died, or could not do what it was asked for."""


class Hand:
    """One process that makes images.  It is started by the thread whose end it shall share."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._wire = Wire(ours)
        with theirs:
            self._process = subprocess.Popen(
                python_command("-m", "worker.device.hand", "--socket", str(theirs.fileno())),
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  it loads and locks nothing
            )

    def greet(self) -> None:
        """Wait until it has imported what it needs.  Raises HandLost."""
        self._answer("hello")

    def take(self, assignment: Assignment) -> None:
        """Give it the task of which it shall make images.  Raises HandLost."""
        self._ask({"do": "take", "assignment": assignment.to_json()})
        self._answer("ready")

    def make(self, numbers: Integers) -> MadeFiles:
        """Let it make the image files of these numbers (N,).  Raises HandLost."""
        self._ask({"do": "make"}, numbers)
        message, arrays = self._answer("made")
        return MadeFiles.of(message, arrays)

    def kill(self) -> None:
        """End it at once; whoever waits for its answer hears that."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Free the line of one that has ended, when nobody uses it any more."""
        self._wire.close()

    def _ask(self, order: dict[str, object], *arrays: Integers) -> None:
        try:
            self._wire.send(order, *arrays)
        except WireClosed as error:
            raise HandLost("it has died") from error

    def _answer(self, expected: str) -> tuple[dict[str, Any], tuple[Array, ...]]:
        try:
            message, arrays = self._wire.receive()
        except WireClosed as error:
            raise HandLost("it has died") from error
        if message["say"] != expected:
            raise HandLost(str(message["message"]))
        return message, arrays


class Hands:
    """All hands of a device process, at most so many; they live on from task to task until `end`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._alive: list[Hand] = []
        self._greetings: list[Future[None]] = []
        self._free: SimpleQueue[Hand | None] = SimpleQueue()  # None: in the place of one that is lost
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="hand")

    def begin(self) -> None:
        """Start them, unless they run or there is no memory for two; the device process can work on meanwhile."""
        count = min(self.most, memory_available() // BYTES_EACH)
        if self._alive or count < 2:
            return
        log.info("starting %d processes that make images", count)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hand")
        self._alive = [Hand() for _ in range(count)]
        self._greetings = [self._threads.submit(hand.greet) for hand in self._alive]

    @property
    def are_alive(self) -> bool:
        """Whether they were started, and not ended since."""
        return bool(self._alive)

    @property
    def are_ready(self) -> bool:
        """Whether they can be given work."""
        return self.are_alive and all(greeting.done() for greeting in self._greetings)

    def make_all(
        self,
        assignment: Assignment,
        batches: Iterable[Integers],
        make: Callable[[Integers], Made],
        check: Callable[[], None],
    ) -> Iterator[Made | MadeFiles]:
        """Make the images of all batches, and give them in their order, as files.

        What a hand cannot make is made by `make`, here, and comes as pixels; what that raises is raised. `check` is
        called again and again, and may raise to end all of it.
        """
        self._free = SimpleQueue()
        waiting: deque[tuple[Integers, Future[MadeFiles]]] = deque()
        is_done = False
        try:
            for hand in self._alive:
                self._threads.submit(self._employ, hand, assignment)
            for numbers in batches:
                waiting.append((numbers, self._threads.submit(self._made, numbers)))
                if len(waiting) > AHEAD * len(self._alive):
                    yield _next(waiting, make, check)
            while waiting:
                made = _next(waiting, make, check)
                is_done = not waiting  # now, because nobody may ask for more than the last batch
                yield made
        finally:
            if not is_done or None in self._settled():  # in the middle of what nobody wants any more, or lost
                self.end()

    def end(self) -> None:
        """End them all."""
        for hand in self._alive:
            hand.kill()
        # Before the next ones begin nobody may be left who waits for these: he would take their place.
        self._threads.shutdown(cancel_futures=True)
        for hand in self._alive:
            hand.close()
        self._alive = []

    def _employ(self, hand: Hand, assignment: Assignment) -> None:
        try:
            hand.take(assignment)
        except HandLost as error:
            log.warning("a process that makes images is lost: %s", error)
            self._free.put(None)
        else:
            self._free.put(hand)

    def _made(self, numbers: Integers) -> MadeFiles:
        hand = self._free.get()
        try:
            if hand is None:
                raise HandLost("it was lost before")
            made = hand.make(numbers)
        except HandLost:
            self._free.put(None)
            raise
        self._free.put(hand)
        return made

    def _settled(self) -> list[Hand | None]:
        """What has become of each; nobody works any more."""
        return [self._free.get() for _ in self._alive]


def _next(
    waiting: deque[tuple[Integers, Future[MadeFiles]]], make: Callable[[Integers], Made], check: Callable[[], None]
) -> Made | MadeFiles:
    numbers, future = waiting.popleft()
    while True:
        check()
        try:
            return future.result(LOOK_SECONDS)
        except TimeoutError:
            continue
        except HandLost as error:
            log.warning("images %d to %d are made without help: %s", numbers[0], numbers[-1], error)
            return make(numbers)
