"""The job kinds by the role of their tasks. A new kind is one file and one line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.device.assemble import run_assemble
from worker.device.compress import run_compress
from worker.device.decompress import run_decompress
from worker.device.desk import Desk
from worker.device.evaluate import run_evaluate
from worker.device.gate import run_gate
from worker.device.generate import run_generate
from worker.device.ping import run_ping
from worker.device.regenerate import run_regenerate
from worker.device.report import run_report
from worker.device.train import run_train
from worker.device.warm import WarmModels


@dataclass(frozen=True)
class Kind:
    """What a role does; without files an attempt writes nothing, unless there is something to warn of."""

    run: Callable[[Desk, WarmModels], dict[str, Any]]
    has_files: bool = True


KINDS: Mapping[str, Kind] = {
    "assemble": Kind(run_assemble),
    "compress": Kind(run_compress),
    "decompress": Kind(run_decompress),
    "evaluate": Kind(run_evaluate),
    "gate": Kind(run_gate),
    "generate": Kind(run_generate),
    "ping": Kind(run_ping, has_files=False),
    "regenerate": Kind(run_regenerate, has_files=False),  # asked for by a person, not by a task
    "report": Kind(run_report),
    "train": Kind(run_train),
}
