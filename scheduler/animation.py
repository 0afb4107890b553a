"""What an animate job can be asked for, which depends on its model."""

from imagemodels.options import SequenceOptions
from imagemodels.presets import resolve
from pixmill.errors import SpecError
from pixmill.specs import AnimateSpec, TrainSpec

STOPS = 4  # of a walk, where nothing else is asked for


def require_animator(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, makes neither images nor frames."""
    chosen = resolve(preset)
    if not (chosen.traits.makes_images or chosen.traits.predicts_frames):
        raise SpecError(
            f"model {model} is a {chosen.traits.product} ({preset}): it makes no images",
            hint="pixmill model presets shows which do",
        )


def settled(spec: AnimateSpec, trained: TrainSpec) -> AnimateSpec:
    """The spec with what was left to the model, which was trained as `trained` says.

    Raises SpecError for what means nothing to such a model.
    """
    options = resolve(trained.model, trained.options).options
    if not isinstance(options, SequenceOptions):
        _refuse(spec, "given", f"{trained.model} makes its images from latents: it takes no given frames")
        return spec.model_copy(update={"stops": spec.stops or STOPS})
    _refuse(spec, "stops", f"{trained.model} goes on with sequences: it walks past no stops")
    _refuse(spec, "classes", f"{trained.model} learns no classes")
    return spec.model_copy(update={"given": spec.given or options.given_frames})


def _refuse(spec: AnimateSpec, name: str, why: str) -> None:
    if getattr(spec, name) is not None:
        raise SpecError(why, hint=f"leave out --{name}")
