"""Job specs: what a person can ask for, as versioned JSON that is the same in a file, in the database and on a worker.

A spec says *what* to compute and is hashed; how it is queued (name, priority, dependencies …) is `JobOptions`.
"""

from pixmill.specs.chores import PingSpec, ReportSpec
from pixmill.specs.codecs import CompressSpec, DecompressSpec
from pixmill.specs.images import AnimateSpec, EditSpec, GenerateSpec, RestoreSpec
from pixmill.specs.judging import EvaluateSpec, GateSpec
from pixmill.specs.kinds import KINDS, Spec
from pixmill.specs.options import JobOptions
from pixmill.specs.parsing import parse_options, parse_spec, split_document
from pixmill.specs.training import TrainSpec

__all__ = [
    "KINDS",
    "AnimateSpec",
    "CompressSpec",
    "DecompressSpec",
    "EditSpec",
    "EvaluateSpec",
    "GateSpec",
    "GenerateSpec",
    "JobOptions",
    "PingSpec",
    "ReportSpec",
    "RestoreSpec",
    "Spec",
    "TrainSpec",
    "parse_options",
    "parse_spec",
    "split_document",
]
