"""Starts the ranks of a task that runs on several devices, with torchrun's agent, and waits for their end."""

import json
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch._C._distributed_c10d import HashStore  # torch.distributed has it without saying so to type checkers
from torch.distributed.elastic.agent.server.api import RunResult, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

from pixmill.interpreter import python_command
from worker.assignment import Assignment
from worker.channel import Channel
from worker.device.orders import RANK_LOST, Orders
from worker.device.pinning import close_input
from worker.device.rank import ANSWERED, ORDERS

END_SECONDS = 2  # that ranks have to end when another one has failed


class OneHost(RendezvousHandler):
    """The meeting of an agent with none but itself.

    torchrun's own kinds open a port to the network, and unpickle what arrives there; all ranks of a task are children
    of one process, and meet in a folder of their own.
    """

    def __init__(self) -> None:
        self._store = HashStore()

    @property
    def use_agent_store(self) -> bool:
        """No: the ranks cannot reach it."""
        return False

    def get_backend(self) -> str:
        """Its name, for torch's log."""
        return "one-host"

    def next_rendezvous(self) -> RendezvousInfo:
        """Meet: this agent is the first of one."""
        return RendezvousInfo(self._store, 0, 1, RendezvousStoreInfo("localhost", 0))

    def is_closed(self) -> bool:
        """Whether nobody may come any more."""
        return False

    def set_closed(self) -> None:
        """Nobody else ever comes."""

    def num_nodes_waiting(self) -> int:
        """Agents that would like to take part."""
        return 0

    def get_run_id(self) -> str:
        """A name for torch's log."""
        return "task"

    def shutdown(self) -> bool:
        """Free nothing."""
        return True


@dataclass(frozen=True)
class Launcher:
    """What a device process knows of the ranks that it will start."""

    kind: str  # of device: "cpu" or "cuda"
    threads: int  # of each rank
    folder: Path  # where they meet, which is made anew for each task

    def run(self, assignment: Assignment, channel: Channel, orders: Orders) -> str | None:
        """Let one process a device work on the task, the first one on the line to the parent, until all have ended.

        None: the parent has its answer. Else why there is none, in some words: then this process must end as well,
        which is how the parent learns of it.
        """
        self._clear()  # of ranks that were killed with their device process
        self.folder.mkdir(mode=0o700)  # nobody else can join
        begun = {"assignment": assignment.to_json(), "stop": orders.should_stop()}
        (self.folder / ORDERS).write_text(json.dumps(begun), encoding="utf-8")
        result = _run(self._spec(assignment.devices), self.folder, channel.descriptor)
        has_answered = (self.folder / ANSWERED).exists()
        self._clear()
        return None if has_answered else _loss(result, assignment.devices)

    def _clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spec(self, devices: int) -> WorkerSpec:
        options = {"--folder": self.folder, "--kind": self.kind, "--threads": self.threads, "--parent": os.getpid()}
        words = [str(word) for pair in options.items() for word in pair]
        python, *arguments = python_command("-m", "worker.device.rank", *words)
        return WorkerSpec(
            role="rank",
            local_world_size=devices,
            entrypoint=python,
            args=tuple(arguments),
            rdzv_handler=OneHost(),
            max_restarts=0,  # whether it is tried again is for the queue to say
        )


def _run(spec: WorkerSpec, folder: Path, line: int) -> RunResult:
    """Run the agent with the line as standard input, the one descriptor that it hands down."""
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGTERM"  # SIGINT stays ignored
    os.dup2(line, 0)
    try:
        logs = DefaultLogsSpecs(log_dir=str(folder / "logs"))
        result: RunResult = LocalElasticAgent(spec, logs, shutdown_timeout=END_SECONDS).run()
        return result
    finally:
        close_input()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _loss(result: RunResult, devices: int) -> str:
    """Which rank failed first; those that have only missed another one are named if there is no other."""
    failures: Mapping[int, ProcessFailure] = result.failures
    first = sorted(failures.items(), key=lambda pair: (pair[1].exitcode == RANK_LOST, pair[1].timestamp))
    if not first:
        return f"all {devices} ranks have ended without an answer"
    rank, failure = first[0]
    how = f"killed by signal {-failure.exitcode}" if failure.exitcode < 0 else f"ended with status {failure.exitcode}"
    return f"rank {rank} of {devices} was {how}"
