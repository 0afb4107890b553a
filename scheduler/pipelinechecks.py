"""Can the pipeline be run at all? Asked when it is submitted, before a night is lost over it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.aliases import champions
from db.registry import parse_reference, resolve_model
from pixmill.aliases import CHAMPION, PROMOTED
from pixmill.errors import NotFound, PixmillError, SpecError
from pixmill.modelkeys import MODEL_KEYS
from pixmill.pipelines import PROMOTE, REPORT, PipelineSpec, Step, read_steps
from pixmill.references import references_in, substituted
from pixmill.specs import JobOptions, Spec
from scheduler.kinds import kind_of
from scheduler.pipelinevalues import Values, expected_values, request_of
from scheduler.registered import pin_registered
from scheduler.submit import check_request, prepare
from scheduler.validation import check_outputs


def check_pipeline(
    session: Session,
    spec: PipelineSpec,
    params: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    user: str,
    outputs: str | None,
) -> list[Step]:
    """The steps in the order of the file, if they can all be run.

    Models and data sets that no step makes must be there; `outputs` is the setting storage.outputs. Raises what a
    submit of the steps would raise; the message names the step.
    """
    steps = read_steps(spec)
    check = _Check(session, steps, expected_values(spec, params, facts, champions(session)), user, outputs)
    for step in steps:
        with _told(step):
            check.run(step)
    return steps


@contextmanager
def _told(step: Step) -> Iterator[None]:
    """Let errors name the step."""
    try:
        yield
    except PixmillError as error:
        told = f"step {step.name}: {error.message}"
        raise type(error)(told, hint=error.hint or f"correct step {step.name}") from None


@dataclass(frozen=True)
class _Check:
    session: Session
    steps: Sequence[Step]
    values: Values
    user: str
    outputs: str | None

    def run(self, step: Step) -> None:
        if step.when is not None:
            step.when.holds(self.values(step.when.reference))
        if step.kind == PROMOTE:
            self._promotion(step)
        else:
            spec, options = request_of(step.body, self.values)
            spec = check_request(spec)
            check_outputs(spec, self.outputs)
            if step.kind != REPORT:  # the run that it is about is not there yet
                self._job(step, spec, options)

    def _promotion(self, step: Step) -> None:
        body = substituted(step.body, self.values)
        gate = self._named(str(body["gate"]))
        if "verdict" not in gate.fields:
            raise SpecError(
                f"gate: step {gate.name} is of kind {gate.kind} and judges nothing", hint="name another step"
            )
        if not isinstance(body.get("auto", False), bool):
            raise SpecError(f"'auto' is {body['auto']!r}", hint="write true, or false")
        if not isinstance(body["model"], str):
            raise SpecError(f"'model' is {body['model']!r}", hint="write model: ${train.model}")
        if not self._is_left_open(step.body["model"]):
            reference = parse_reference(body["model"])
            if reference.job_id is None and reference.version is None and reference.alias is None:
                raise SpecError(f"{body['model']} names no version", hint="write model: ${train.model}")
            self._is_there(step, body["model"])

    def _job(self, step: Step, spec: Spec, options: JobOptions) -> None:
        kind, given = kind_of(spec), spec.model_dump(mode="json")
        models = [pair for key in MODEL_KEYS.get(spec.kind, ()) for pair in _pairs(step.body.get(key), given[key])]
        there = [self._is_there(step, name) for written, name in models if not self._is_left_open(written)]
        if all(there) and not self._is_left_open(step.body):
            prepare(self.session, spec, options, user=self.user)
            return
        for key in kind.datasets.values():
            if given.get(key) is not None and not self._is_left_open(step.body.get(key)):
                pin_registered(self.session, given[key])

    def _is_there(self, step: Step, name: str) -> bool:
        """Whether the model is there already; False: a step before this one makes it.  Raises NotFound."""
        try:
            resolve_model(self.session, name)
        except NotFound as error:
            reference = parse_reference(name)
            makers = [maker.name for maker in self.steps if self._makes(maker, reference.name)]
            if not makers or reference.version is not None or reference.alias not in (None, *PROMOTED):
                raise
            if not self._before(step) & set(makers):
                hint = f"let it wait for the step that makes it: after: [{makers[0]}]"
                if reference.alias == CHAMPION:
                    hint = f"${{champion.{reference.name}}} is the champion, and none as long as there is none"
                raise NotFound(error.message, hint=hint) from None
            return False
        return True

    def _makes(self, step: Step, line: str | None) -> bool:
        if step.kind != "train":
            return False
        spec, options = request_of(step.body, self.values)
        return (options.name or kind_of(spec).default_name(spec)) == line

    def _before(self, step: Step) -> set[str]:
        """All steps that must be over before this one begins."""
        found: set[str] = set()
        left = list(step.after)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._named(name).after
        return found

    def _named(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def _is_left_open(self, value: object) -> bool:
        """Whether it depends on what a step will leave."""
        names = {step.name for step in self.steps}
        return any(reference.place in names for reference in references_in(value))


def _pairs(written: object, given: object) -> Iterator[tuple[object, str]]:
    """Each model that a key names: as the file has it, and as it is for now."""
    if isinstance(written, list) and isinstance(given, list):
        yield from zip(written, given, strict=True)
    elif isinstance(given, str):
        yield written, given
