"""Pipelines: steps that follow one another, as a file has them, and what may become of a run and of each step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pixmill.errors import SpecError
from pixmill.names import NAME_PATTERN, suggestion
from pixmill.references import Condition, Reference, Value, parse_condition, references_in
from pixmill.specs import KINDS, JobOptions
from pixmill.specs.refusals import refuse_nul, spec_error
from pixmill.specs.training import OptionValue

PIPELINE = "pipeline"  # the kind of its document
PROMOTE = "promote"  # the one kind of step that is no job
GATE = "gate"  # the kind of job that judges
REPORT = "report"  # the kind that writes the page of its run, when all other steps are over
# What references may name beside steps; `${champion.NAME}` is none while that model has no champion.
PARAMS, RUN, CHAMPION = "params", "run", "champion"

MOST_STEPS = 100
OF_RUN = ("id", "name", "scheduled_for", "date")
OF_JOB = ("job", "state")  # what a step of any job leaves
JUDGED = ("verdict", "model", "against")  # and one of a gate: what it judged, and the champion beside it
EVIDENCE = ("primary", "gates", "seeds")  # of the result of a gate: what its verdict rests on
OF_KIND: Mapping[str, tuple[str, ...]] = {
    "train": (*OF_JOB, "model", "version"),
    GATE: (*OF_JOB, *JUDGED),
    PROMOTE: ("state", "model", "promoted", "reason"),
    REPORT: (*OF_JOB, "page"),
}
_OF_STEP = ("kind", "after", "after_policy", "when")
_OF_ONE_JOB = ("key", "begin")
_NOT_OF_REPORTS = ("after", "after_policy", "run", "seed")
_PROMOTE_KEYS = (*_OF_STEP, "model", "gate", "auto")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class PipelineSpec(BaseModel):
    """A pipeline as a file has it; its steps are read by `read_steps`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    kind: Literal["pipeline"] = "pipeline"
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    params: dict[Name, OptionValue | None] = Field(default_factory=dict)  # defaults; None: must be given
    steps: Annotated[dict[Name, dict[str, Any]], Field(min_length=1, max_length=MOST_STEPS)]

    @field_validator("steps", mode="before")
    @classmethod
    def _as_stored(cls, steps: Any) -> Any:
        if not isinstance(steps, list) or not all(isinstance(step, dict) and "step" in step for step in steps):
            return steps
        names = [step["step"] for step in steps]
        if not all(isinstance(name, str) for name in names):
            return steps
        if len(set(names)) < len(names):
            raise ValueError("two steps have one name")
        return {step["step"]: {key: value for key, value in step.items() if key != "step"} for step in steps}

    def document(self) -> dict[str, Any]:
        """What a file of it holds."""
        return self.model_dump(mode="json")

    def stored(self) -> dict[str, Any]:
        """The same with its steps in a list: a database need not keep the order of keys."""
        return {**self.document(), "steps": [{"step": name, **step} for name, step in self.steps.items()]}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step, as far as it can be read before a run."""

    name: str
    kind: str
    after: tuple[str, ...]  # steps that must be over, those that it refers to among them
    any_outcome: bool  # False: they must have succeeded
    when: Condition | None
    body: Mapping[str, Any]  # spec and options of its job, or model, gate and auto of a promotion

    @property
    def fields(self) -> tuple[str, ...]:
        """What others can refer to of it."""
        return OF_KIND.get(self.kind, OF_JOB)


def is_pipeline(document: Mapping[str, Any]) -> bool:
    """Whether a document asks for a pipeline rather than for a job."""
    return document.get("kind") == PIPELINE


def parse_pipeline(values: Mapping[str, Any]) -> PipelineSpec:
    """A pipeline whose steps can be read.  Raises SpecError that names step and key."""
    refuse_nul(values, PIPELINE)
    try:
        spec = PipelineSpec.model_validate(dict(values))
    except ValidationError as error:
        raise spec_error(error, PipelineSpec.model_fields, PIPELINE) from None
    read_steps(spec)
    return spec


def read_steps(spec: PipelineSpec) -> list[Step]:
    """The steps in the order of the file.  Raises SpecError for a kind, key, step, reference or ring that cannot be."""
    steps = [_read_step(name, dict(body), spec) for name, body in spec.steps.items()]
    _refuse_waiting_for_reports(steps)
    by_name = {step.name: step for step in steps}
    for step in steps:
        for reference in _references(step):
            _require_known(step, reference, by_name, spec)
    _refuse_rings(steps)
    return steps


def _references(step: Step) -> Iterator[Reference]:
    yield from references_in(step.body)
    if step.when is not None:
        yield step.when.reference


def _read_step(name: str, body: dict[str, Any], spec: PipelineSpec) -> Step:
    if name in (PARAMS, RUN, CHAMPION):
        raise SpecError(f"step {name}: the name is taken by ${{{name}.…}}", hint="choose another name")
    kind = _kind(name, body)
    _refuse_keys(name, kind, body)
    try:
        when = None if body.get("when") is None else parse_condition(body["when"])
        inner = {key: value for key, value in body.items() if key not in _OF_STEP}
        named = [found.place for found in references_in(inner)] + ([when.reference.place] if when else [])
    except SpecError as error:
        raise SpecError(f"step {name}: {error.message}", hint=error.hint) from None
    gate = [_gate(name, inner)] if kind == PROMOTE else []
    explicit = _after(name, body) if kind != REPORT else _all_others(spec)
    for other in (*explicit, *gate):
        if other not in spec.steps:
            raise SpecError(f"step {name}: there is no step {other!r}", hint=suggestion(other, spec.steps))
    before = dict.fromkeys([*explicit, *gate, *(place for place in named if place in spec.steps)])
    any_outcome = kind == REPORT or _policy(name, body) == "any"
    own = {REPORT: {"kind": kind, "run": f"${{{RUN}.id}}"}, PROMOTE: {}}.get(kind, {"kind": kind})
    body = {**own, **inner}
    return Step(name=name, kind=kind, after=tuple(before), any_outcome=any_outcome, when=when, body=body)


def _kind(name: str, body: Mapping[str, Any]) -> str:
    kind = body.get("kind")
    if not isinstance(kind, str) or (kind not in KINDS and kind != PROMOTE):
        found = "there is no 'kind'" if kind is None else f"unknown kind {kind!r}"
        raise SpecError(f"step {name}: {found}", hint=suggestion(str(kind), (*KINDS, PROMOTE)))
    return kind


def _refuse_keys(name: str, kind: str, body: Mapping[str, Any]) -> None:
    known: set[str] = set(_PROMOTE_KEYS)
    if kind != PROMOTE:
        known = {*_OF_STEP, *KINDS[kind].model_fields, *JobOptions.model_fields} - {*_OF_ONE_JOB}
    for key in body:
        if kind == REPORT and key in _NOT_OF_REPORTS:
            told = f"step {name}: '{key}' is not for a report: it is of its own run, and waits for all other steps"
            raise SpecError(told, hint="leave it out")
        if key in _OF_ONE_JOB:
            raise SpecError(f"step {name}: '{key}' is for one job, not for a step of every run", hint="leave it out")
        if key not in known:
            raise SpecError(f"step {name}: unknown key '{key}' of kind {kind}", hint=suggestion(key, known))


def _after(name: str, body: Mapping[str, Any]) -> list[str]:
    after = body.get("after", [])
    if not isinstance(after, list) or not all(isinstance(other, str) for other in after):
        raise SpecError(f"step {name}: 'after' is {after!r}; it lists steps", hint="write after: [train]")
    return after


def _all_others(spec: PipelineSpec) -> list[str]:
    return [name for name, body in spec.steps.items() if body.get("kind") != REPORT]


def _refuse_waiting_for_reports(steps: Sequence[Step]) -> None:
    reports = {step.name for step in steps if step.kind == REPORT}
    for step in steps:
        if found := reports.intersection(step.after):
            told = f"step {step.name} waits for {min(found)}, a report, which waits for all other steps"
            raise SpecError(told, hint="let nothing wait for a report")


def _policy(name: str, body: Mapping[str, Any]) -> str:
    policy = body.get("after_policy", "ok")
    if policy not in ("ok", "any"):
        raise SpecError(f"step {name}: 'after_policy' is {policy!r}", hint="write ok, or any")
    return str(policy)


def _gate(name: str, body: Mapping[str, Any]) -> str:
    for key in ("model", "gate"):
        if not isinstance(body.get(key), str):
            hint = "write model: ${train.model}" if key == "model" else "name the step whose verdict decides"
            found = f"'{key}' is {body[key]!r}" if key in body else f"'{key}' is missing"
            raise SpecError(f"step {name}: {found}", hint=hint)
    if not isinstance(body.get("auto", False), bool) and not isinstance(body["auto"], str):
        raise SpecError(f"step {name}: 'auto' is {body['auto']!r}", hint="write true, or false")
    return str(body["gate"])


def _require_known(step: Step, reference: Reference, steps: Mapping[str, Step], spec: PipelineSpec) -> None:
    places: dict[str, Sequence[str]] = {PARAMS: list(spec.params), RUN: OF_RUN}
    places |= {name: other.fields for name, other in steps.items()}
    if reference.place == CHAMPION:
        return  # of any model, also of one that is not there yet
    if reference.place not in places:
        hint = suggestion(reference.place, places)
        raise SpecError(f"step {step.name}: {reference} refers to no step", hint=hint)
    known = places[reference.place]
    if reference.field not in known:
        what = f"{reference.place} has no {reference.field!r}"
        hint = suggestion(reference.field, known) if known else "add it to params, with its default"
        raise SpecError(f"step {step.name}: {reference}: {what}", hint=hint)


def _refuse_rings(steps: Sequence[Step]) -> None:
    """Take away what waits for nothing any more, until nothing is left; what stays waits for itself."""
    left = {step.name: set(step.after) for step in steps}
    while free := [name for name, after in left.items() if not after & left.keys()]:
        for name in free:
            del left[name]
    if left:
        ring = _ring(left)
        raise SpecError(
            f"step {ring[0]}: the steps wait for one another in a ring: {' → '.join([*ring, ring[0]])}",
            hint=f"take {ring[1 % len(ring)]} out of what {ring[0]} waits for",
        )


def _ring(left: Mapping[str, set[str]]) -> list[str]:
    walked = [next(iter(left))]
    while (following := min(left[walked[-1]] & left.keys())) not in walked:
        walked.append(following)
    return walked[walked.index(following) :]


def given_params(spec: PipelineSpec, given: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters of a run.  Raises SpecError for one that is unknown, missing, or of another type."""
    for name, value in given.items():
        if name not in spec.params:
            hint = suggestion(name, spec.params) if spec.params else "it has none"
            raise SpecError(f"pipeline {spec.name} has no parameter {name!r}", hint=hint)
        _require_type(name, value, spec.params[name])
    params = {**spec.params, **given}
    missing = next((name for name, value in params.items() if value is None), None)
    if missing is not None:
        raise SpecError(f"parameter {missing!r} of pipeline {spec.name} has no value", hint=f"--set {missing}=…")
    return {name: value for name, value in params.items() if value is not None}


def _require_type(name: str, value: Value, default: Value | None) -> None:
    is_fine = default is None or type(value) is type(default) or (type(default) is float and type(value) is int)
    if not is_fine:
        raise SpecError(
            f"parameter {name!r} is {value!r}; its default is {default!r}", hint="give a value of that type"
        )
