"""What a spec calls by name is fixed when it is submitted: the very version of a model, the very output.

Each function gives the spec with versions in place of names, and adds the jobs that must end first to `parents`: job
id → whether any outcome will do. Raises NotFound, UserError, Conflict or SpecError for what cannot be.
"""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy.orm import Session

from db.finding import get_job
from db.jobs import ended
from db.outputs import removal_of
from db.pipelines import view_run
from db.registry import resolve_model
from db.tables.jobs import Job
from db.tables.models import ModelVersion
from pixmill.errors import Conflict, NotFound, SpecError, UserError
from pixmill.names import suggestion
from pixmill.specs import (
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GateSpec,
    GenerateSpec,
    ReportSpec,
    RestoreSpec,
    TrainSpec,
)
from pixmill.states import State
from scheduler.animation import require_animator, settled
from scheduler.editing import require_editor, settled_edit
from scheduler.gating import no_champion, require_other, settled_gate
from scheduler.generation import check_alike, check_filter, require_each_once
from scheduler.restoration import check_damage, require_restorer
from scheduler.validation import require_codec, require_generator, require_judge

Parents = dict[int, bool]


def pin_generate(session: Session, spec: GenerateSpec, parents: Parents) -> GenerateSpec:
    """Fix the very version that makes the images; a train job that still runs becomes a parent instead."""
    reference, version = _pinned(session, spec.model, parents, require_generator)
    _check_classes(spec.named_classes, version)
    spec = _pin_further(session, spec.model_copy(update={"model": reference}), version, parents)
    if spec.filter_model is None:
        return spec
    judge_reference, judge = _pinned(session, spec.filter_model, parents, require_judge)
    spec = spec.model_copy(update={"filter_model": judge_reference})
    check_filter(spec, version, judge)
    return spec


def _pin_further(session: Session, spec: GenerateSpec, version: ModelVersion | None, parents: Parents) -> GenerateSpec:
    if spec.further_models is None:
        return spec
    others = [_pinned(session, name, parents, require_generator) for name in spec.further_models]
    for _reference, other in others:
        check_alike(version, other)
    spec = spec.model_copy(update={"further_models": [name for name, _other in others]})
    require_each_once(spec)
    return spec


def pin_animate(session: Session, spec: AnimateSpec, parents: Parents) -> AnimateSpec:
    """Fix the version as `pin_generate` does, and what of the spec depends on it."""
    reference, version, trained = pinned_as_trained(session, spec.model, parents, require_animator)
    spec = settled(spec.model_copy(update={"model": reference}), trained)
    _check_classes(spec.classes or (), version)
    return spec


def pin_edit(session: Session, spec: EditSpec, parents: Parents) -> EditSpec:
    """Fix the version, and what of the spec depends on it."""
    require = partial(require_editor, spec.way)
    reference, version, trained = pinned_as_trained(session, spec.model, parents, require)
    spec = settled_edit(spec.model_copy(update={"model": reference}), trained, version)
    _check_classes(spec.classes or (), version)
    return spec


def pin_restore(session: Session, spec: RestoreSpec, parents: Parents) -> RestoreSpec:
    """Fix the version as `pin_generate` does, once what it was trained on allows what is asked for."""
    reference, _version, trained = pinned_as_trained(session, spec.model, parents, require_restorer)
    spec = spec.model_copy(update={"model": reference})
    check_damage(spec, trained)
    return spec


def pin_compress(session: Session, spec: CompressSpec, parents: Parents) -> CompressSpec:
    """Fix the very codec."""
    return spec.model_copy(update={"model": _pinned(session, spec.model, parents, require_codec)[0]})


def pin_decompress(session: Session, spec: DecompressSpec, parents: Parents) -> DecompressSpec:
    """Fix the job whose files are read, or the codec that wrote those of a folder."""
    if spec.output is not None:
        _require_output(session, spec.output, "compress", parents)
        return spec
    assert spec.model is not None  # checked with the request
    return spec.model_copy(update={"model": _pinned(session, spec.model, parents, require_codec)[0]})


def pin_evaluate(session: Session, spec: EvaluateSpec, parents: Parents) -> EvaluateSpec:
    """Fix the job whose images are judged, and the very classifier that judges, if there is one."""
    _require_output(session, spec.output, "generate", parents)
    return spec if spec.judge is None else _pin_judge(session, spec, spec.judge, parents)


def _pin_judge(session: Session, spec: EvaluateSpec, judge: str, parents: Parents) -> EvaluateSpec:
    """Fix the very classifier that judges.  Raises SpecError if it takes no images like those of the output."""
    reference, version = _pinned(session, judge, parents, require_judge)
    maker = resolve_model(session, get_job(session, spec.output).spec["model"])
    if version is not None and isinstance(maker, ModelVersion):
        taken, made = (f"{one.image_size}×{one.image_size}×{one.channels}" for one in (version, maker))
        if taken != made:
            raise SpecError(
                f"judge {reference} takes images of {taken}, and those of job {spec.output} are of {made}",
                hint="choose a classifier that was trained on such images",
            )
    return spec.model_copy(update={"judge": reference})


def pin_report(session: Session, spec: ReportSpec, _parents: Parents) -> ReportSpec:
    """The spec of a run that is there."""
    view_run(session, spec.run)
    return spec


def pin_gate(session: Session, spec: GateSpec, parents: Parents) -> GateSpec:
    """Fix challenger and champion, and the gates where none were asked for."""
    reference, version, trained = pinned_as_trained(session, spec.model, parents, require_generator)
    spec = settled_gate(spec.model_copy(update={"model": reference}), trained, version)
    if spec.against is None:
        return spec
    try:
        against, champion = _pinned(session, spec.against, parents, require_generator)
    except NotFound as error:
        raise no_champion(spec.against, error) from None
    require_other(reference, against)
    check_alike(version, champion, hint="gate models of the same images, or leave out --against")
    return spec.model_copy(update={"against": against})


def _pinned(
    session: Session, reference: str, parents: Parents, require: Callable[[str, str], None]
) -> tuple[str, ModelVersion | None]:
    """The reference of the very version, and the version; that of a train job which still runs stays as it is."""
    found = resolve_model(session, reference)
    if isinstance(found, Job):
        require(reference, found.spec["model"])
        parents[found.id] = False
        return reference, None
    require(found.reference, found.preset)
    return found.reference, found


def pinned_as_trained(
    session: Session, reference: str, parents: Parents, require: Callable[[str, str], None]
) -> tuple[str, ModelVersion | None, TrainSpec]:
    """What `_pinned` gives, and how the model was, or is, trained."""
    pinned, version = _pinned(session, reference, parents, require)
    found = resolve_model(session, reference) if version is None else get_job(session, version.job_id)
    assert isinstance(found, Job)
    return pinned, version, TrainSpec.model_validate(found.spec)


def _check_classes(names: Sequence[str], version: ModelVersion | None) -> None:
    if version is None:  # its train job will know
        return
    for name in names:
        if not version.classes:
            raise SpecError(
                f"model {version.reference} knows no classes; {name!r} was asked for",
                hint="train it with --conditional",
            )
        if name not in version.classes:
            known = [str(known) for known in version.classes]
            raise SpecError(f"the model has no class {name!r}", hint=suggestion(name, known))


def _require_output(session: Session, job_id: int, kind: str, parents: Parents) -> None:
    output = get_job(session, job_id)
    if output.kind != kind:
        act = "evaluate judges the images" if kind == "generate" else "decompress reads the files"
        raise UserError(f"job {output.id} is of kind {output.kind}; {act} of a {kind} job")
    if output.state in (State.FAILED, State.CANCELLED):
        raise Conflict(f"job {output.id} has {ended(output.state)}; its output is not complete")
    if output.state is not State.SUCCEEDED:
        parents[output.id] = False
    elif removal_of(session, job_id) is not None:
        raise Conflict(f"the output of job {job_id} was removed", hint=f"pixmill job show {job_id} --spec")
