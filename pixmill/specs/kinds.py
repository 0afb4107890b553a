"""The kinds of jobs, and their specs."""

from pixmill.specs.chores import PingSpec, ReportSpec
from pixmill.specs.codecs import CompressSpec, DecompressSpec
from pixmill.specs.images import AnimateSpec, EditSpec, GenerateSpec, RestoreSpec
from pixmill.specs.judging import EvaluateSpec, GateSpec
from pixmill.specs.training import TrainSpec

Spec = (
    TrainSpec
    | GenerateSpec
    | AnimateSpec
    | EditSpec
    | EvaluateSpec
    | GateSpec
    | CompressSpec
    | DecompressSpec
    | RestoreSpec
    | ReportSpec
    | PingSpec
)

KINDS: dict[str, type[Spec]] = {
    "train": TrainSpec,
    "generate": GenerateSpec,
    "animate": AnimateSpec,
    "edit": EditSpec,
    "evaluate": EvaluateSpec,
    "gate": GateSpec,
    "compress": CompressSpec,
    "decompress": DecompressSpec,
    "restore": RestoreSpec,
    "report": ReportSpec,
    "ping": PingSpec,
}
