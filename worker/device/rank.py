"""One rank of a task that runs on several devices: `python -m worker.device.rank`, started by torchrun's agent.

The first rank works as a device process does, on the line to the parent, which is its standard input. The others do
what it does with their own shares of each batch. All of them die with the device process.

What takes long to import is imported when the death of that process is already heard of.
"""

import argparse
import json
import logging
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pixmill.interpreter import begin_quickly, importing
from pixmill.logs import log_to_stderr
from pixmill.states import FailureReason
from worker.channel import Channel
from worker.device.orders import RANK_LOST, Orders
from worker.device.pinning import close_input, die_with_parent, see_only

if TYPE_CHECKING:
    from imagemodels.training.descent import Descent
    from worker.assignment import Assignment
    from worker.device.desk import Desk
    from worker.device.warm import WarmModels

ORDERS = "orders.json"  # what is to be done
ANSWERED = "answered"  # there once the parent has its answer
AMID_STEP = 77  # exit status: the answer is given, and the other ranks wait for what will not come
LOOPBACK = "lo"


def main() -> None:
    """Entry point of `python -m worker.device.rank`."""
    begin_quickly()
    arguments = _arguments()
    die_with_parent(arguments.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    line = _take_line()
    see_only(rank)
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = LOOPBACK
    log_to_stderr()
    _work(arguments, rank, count, line)
    os._exit(0)  # what torch would tear down in order is torn down with the process


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.device.rank")
    parser.add_argument("--folder", required=True, type=Path, help="where the ranks meet")
    parser.add_argument("--kind", required=True, choices=("cpu", "cuda"))
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--parent", required=True, type=int)
    return parser.parse_args()


def _take_line() -> int:
    """The line to the parent; standard input is empty from now on."""
    line = os.dup(0)
    close_input()
    return line


def _work(arguments: argparse.Namespace, rank: int, count: int, line: int) -> None:
    with importing():
        from imagemodels.errors import RankLost
        from imagemodels.training.ranks import Ranks
        from worker.assignment import Assignment
        from worker.device.facts import prepare_torch
        from worker.device.warm import WarmModels

    begun = json.loads((arguments.folder / ORDERS).read_text(encoding="utf-8"))
    assignment = Assignment.from_json(begun["assignment"])
    prepare_torch(arguments.threads)
    try:
        ranks = Ranks.join(arguments.folder, rank, count, arguments.kind)
        warm = WarmModels(arguments.kind, arguments.threads, ranks=ranks)
        if rank == 0:
            channel = Channel(socket.socket(fileno=line))
            _lead(assignment, channel, Orders(channel, is_told_to_stop=begun["stop"]), warm, arguments.folder)
        else:
            os.close(line)
            _follow(assignment, warm)
    except RankLost:
        os._exit(RANK_LOST)


def _lead(assignment: "Assignment", channel: Channel, orders: Orders, warm: "WarmModels", folder: Path) -> None:
    """Run the attempt, answer, and let the others go.  Raises RankLost."""
    from imagemodels.training.ranks import Order
    from worker.device.attempt import Ending, run_attempt
    from worker.device.desk import Desk

    ending = run_attempt(Desk(assignment, channel, orders.should_stop), warm)
    if ending.answer.get("reason") is FailureReason.WORKER_LOST:
        os._exit(RANK_LOST)  # no answer: the parent takes the lease for lost, and the task is tried again
    is_amid_step = warm.ranks.is_amid_step
    channel.send(Ending(ending.answer, ending.is_device_spoiled or is_amid_step).told(assignment))
    (folder / ANSWERED).touch()
    if is_amid_step:
        os._exit(AMID_STEP)
    warm.ranks.tell(Order.END)


def _follow(assignment: "Assignment", warm: "WarmModels") -> None:
    """Take the steps that the first rank takes.  Raises RankLost."""
    from imagemodels.training.descent import follow
    from worker.device.desk import Desk

    logging.getLogger().setLevel(logging.WARNING)
    desk = Desk(assignment, None, lambda: False)  # the first rank says the same
    follow(warm.ranks, lambda: _same_run(desk, warm))


def _same_run(desk: "Desk", warm: "WarmModels") -> "Descent":
    """The run that the first rank leads; it has read the data set already, so that they lie ready."""
    from imagemodels.training.descent import Descent
    from pixmill.specs import TrainSpec
    from worker.device.lessons import new_trainer, read_data, train_config

    spec = TrainSpec.model_validate(desk.assignment.spec)
    data = read_data(desk, spec)
    warm.prepare(data.image_size)
    config = train_config(spec, data, desk.assignment.start)
    run = new_trainer(config, data, warm.runtime(spec.precision), None, warm.ranks)
    assert isinstance(run, Descent)  # the submit has refused any other on several devices
    return run


if __name__ == "__main__":
    main()
