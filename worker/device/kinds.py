"""The job kinds by the role of their tasks. A new kind is one file and one line here."""

from collections.abc import Callable, Mapping
from typing import Any

from worker.device.assemble import run_assemble
from worker.device.desk import Desk
from worker.device.evaluate import run_evaluate
from worker.device.generate import run_generate
from worker.device.train import run_train
from worker.device.warm import WarmModels

KINDS: Mapping[str, Callable[[Desk, WarmModels], dict[str, Any]]] = {
    "assemble": run_assemble,
    "evaluate": run_evaluate,
    "generate": run_generate,
    "train": run_train,
}
