"""What a submit does with each kind of spec: one row of a table for each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from pixmill.datasets import DATASET_KEY, ROLES
from pixmill.specs import (
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GateSpec,
    GenerateSpec,
    PingSpec,
    ReportSpec,
    RestoreSpec,
    Spec,
    TrainSpec,
)
from scheduler.beginning import compared_with, pin_train
from scheduler.editing import check_edit
from scheduler.gating import check_gate
from scheduler.generation import check_generate
from scheduler.pinning import (
    Parents,
    pin_animate,
    pin_compress,
    pin_decompress,
    pin_edit,
    pin_evaluate,
    pin_gate,
    pin_generate,
    pin_report,
    pin_restore,
)
from scheduler.plan import (
    AskPace,
    Plan,
    plan_animate,
    plan_compress,
    plan_decompress,
    plan_edit,
    plan_evaluate,
    plan_gate,
    plan_generate,
    plan_ping,
    plan_report,
    plan_restore,
    plan_train,
)
from scheduler.restoration import check_restore
from scheduler.validation import (
    check_compress,
    check_decompress,
    check_evaluate,
    check_format,
    check_train,
    registered_reference,
)

LONGEST_NAME = 100

S = TypeVar("S")
OfModel = GenerateSpec | AnimateSpec | EditSpec | GateSpec | CompressSpec | RestoreSpec


def _as_it_is(spec: S) -> S:
    return spec


def _without_models(_session: Session, spec: S, _parents: Parents) -> S:
    return spec


def _nothing_more(_session: Session, _spec: S, _name: str) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[S]):
    """How a spec is checked, fixed, planned and named, and what of it names what else."""

    plan: Callable[[S, AskPace], Plan]
    default_name: Callable[[S], str]  # of a job that is given none
    check: Callable[[S], S] = _as_it_is  # without the database; gives absolute paths
    pin: Callable[[Session, S, Parents], S] = _without_models  # models and outputs, in the database
    datasets: Mapping[str, str] = field(default_factory=dict)  # what a data set is for → the key that names it
    left_to_model: tuple[str, ...] = ()  # keys that the model decides when nothing is asked for
    params: Callable[[Session, S, str], Mapping[str, Any]] = _nothing_more  # of each task, of a job of that name


def kind_of(spec: Spec) -> Kind[Any]:
    """The row of a spec."""
    return KINDS[spec.kind]


def _after_dataset(spec: TrainSpec) -> str:
    registered = registered_reference(spec.dataset)
    if registered is not None:
        return f"{spec.model}-{registered.name}"[:LONGEST_NAME]
    dataset = spec.dataset.rstrip("/").rsplit("/", 1)[-1].rpartition(":")[2] or "data"
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", dataset)  # a name that a model reference can hold
    return f"{spec.model}-{safe}"[:LONGEST_NAME]


def _after_model(made: str) -> Callable[[OfModel], str]:
    return lambda spec: f"{spec.model.partition('@')[0].replace(':', '-')}-{made}"[:LONGEST_NAME]


_ON_DATASET = {DATASET_KEY: "dataset"}

KINDS: Mapping[str, Kind[Any]] = {
    "train": Kind[TrainSpec](
        check=check_train,
        pin=pin_train,
        plan=plan_train,
        default_name=_after_dataset,
        datasets=_ON_DATASET,
        left_to_model=("image_size", "channels"),
        params=compared_with,
    ),
    "generate": Kind[GenerateSpec](
        check=lambda spec: check_format(check_generate(spec)),
        pin=pin_generate,
        plan=plan_generate,
        default_name=_after_model("images"),
    ),
    "animate": Kind[AnimateSpec](
        pin=pin_animate,
        plan=plan_animate,
        default_name=_after_model("animations"),
        left_to_model=("stops", "given"),
    ),
    "edit": Kind[EditSpec](
        check=check_edit,
        pin=pin_edit,
        plan=plan_edit,
        default_name=_after_model("edited"),
        datasets={role: role for role in ROLES},
        left_to_model=("classes",),
    ),
    "evaluate": Kind[EvaluateSpec](
        check=check_evaluate,
        pin=pin_evaluate,
        plan=plan_evaluate,
        default_name=lambda spec: f"judge-{spec.output}",
        datasets=_ON_DATASET,
    ),
    "gate": Kind[GateSpec](
        check=check_gate,
        pin=pin_gate,
        plan=plan_gate,
        default_name=_after_model("gate"),
        datasets=_ON_DATASET,
        left_to_model=("gates", "primary"),
    ),
    "compress": Kind[CompressSpec](
        check=check_compress,
        pin=pin_compress,
        plan=plan_compress,
        default_name=_after_model("compressed"),
        datasets=_ON_DATASET,
    ),
    "decompress": Kind[DecompressSpec](
        check=check_decompress,
        pin=pin_decompress,
        plan=plan_decompress,
        default_name=lambda spec: f"decompressed-{spec.output or 'files'}",
    ),
    "restore": Kind[RestoreSpec](
        check=check_restore,
        pin=pin_restore,
        plan=plan_restore,
        default_name=_after_model("restored"),
        datasets={DATASET_KEY: "input"},
    ),
    "report": Kind[ReportSpec](pin=pin_report, plan=plan_report, default_name=lambda spec: f"report-{spec.run}"),
    "ping": Kind[PingSpec](plan=plan_ping, default_name=lambda _spec: "ping"),
}
