"""What an edit job can be asked for, which depends on its way and on its model."""

from collections.abc import Mapping
from typing import Any

from db.tables.models import ModelVersion
from imagemodels.presets import resolve
from pixmill.errors import SpecError
from pixmill.specs import EditSpec, TrainSpec
from scheduler.validation import check_images, part_of, require_generator

EDITS = 10  # where nothing else is asked for
ENCODER_FACT = "encoder"  # of a model's lineage: whether its encoder was kept

# What each way can be asked for, and what is taken where it is not; None: there is no default, or the model knows it.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "attribute": {
        "attribute": None,
        "against": None,
        "apart_from": None,
        "examples": None,
        "fit": "logistic",
        "strengths": [-1.0, 0.0, 1.0, 2.0],
    },
    "interpolate": {"steps": 8},
    "class": {"classes": None},
    "optimise": {
        "style": None,
        "style_index": 0,
        "iterations": 200,
        "step_size": 0.05,
        "content_weight": 1.0,
        "style_weight": 10_000.0,
        "variation_weight": 0.1,
    },
}
_REQUIRED = {"attribute": "attribute", "optimise": "style"}


def check_edit(spec: EditSpec) -> EditSpec:
    """The spec with absolute data sets and all that its way leaves open.  Raises SpecError or DatasetError."""
    _refuse_options_of_other_ways(spec)
    required = _REQUIRED.get(spec.way)
    if required is not None and getattr(spec, required) is None:
        raise SpecError(f"--way {spec.way} needs --{required}", hint="pixmill submit edit --help")
    if spec.way == "optimise" and spec.precision != "fp32":
        raise SpecError(f"--way optimise computes in fp32, not in {spec.precision}", hint="leave out --precision")
    open_options = {name: value for name, value in _OPTIONS[spec.way].items() if getattr(spec, name) is None}
    named = {role: getattr(spec, role) for role in ("dataset", "examples", "style")}
    places = {role: check_images(name) for role, name in named.items() if name is not None}
    filled = spec.model_copy(update={**open_options, **places, "n": _edits(spec)})
    return filled.model_copy(update={"part": _part(filled)})


def settled_edit(spec: EditSpec, trained: TrainSpec, version: ModelVersion | None) -> EditSpec:
    """The spec with what was left to the model, which was trained as `trained` says; None: it still is.

    Raises SpecError for what such a model cannot do.
    """
    if spec.way == "optimise":
        return spec
    if spec.dataset is not None:
        _require_encoder(spec.model, trained.model, version)
    if spec.way == "attribute" and trained.conditional and spec.examples is None:
        raise SpecError(
            f"model {spec.model} is told the class of each image, so that its latents do not tell it",
            hint=f"--way class --classes {spec.attribute}, or --examples with other labels",
        )
    return _with_classes(spec, trained, version) if spec.way == "class" else spec


def _refuse_options_of_other_ways(spec: EditSpec) -> None:
    own = _OPTIONS[spec.way]
    for way, options in _OPTIONS.items():
        for name in options:
            if name not in own and getattr(spec, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise SpecError(f"{flag} means nothing to --way {spec.way}; it is for {way}", hint=f"leave out {flag}")


def _edits(spec: EditSpec) -> int:
    """How many edits are asked for."""
    if spec.indices is None:
        return spec.n or EDITS
    each = 2 if spec.way == "interpolate" else 1
    edits, rest = divmod(len(spec.indices), each)
    if rest:
        raise SpecError(f"{len(spec.indices)} indices are no pairs", hint="--indices FROM,TO or FROM,TO,FROM,TO …")
    if spec.n not in (None, edits):
        raise SpecError(
            f"{len(spec.indices)} indices are {edits} edits, and {spec.n} are asked for", hint="leave out -n"
        )
    return edits


def _part(spec: EditSpec) -> str | None:
    """The part of the data set that is edited; None where images are named, or made."""
    reads = spec.dataset is not None or spec.way == "optimise"
    if spec.part is not None and (spec.indices is not None or not reads):
        why = "indices count all images of a data set" if reads else "without --dataset images are made"
        raise SpecError(f"--part means nothing here: {why}", hint="leave out --part")
    return part_of(spec.dataset, spec.part) if reads and spec.indices is None else None


def require_editor(way: str, model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, cannot be what this way of editing works with."""
    if way != "optimise":
        require_generator(model, preset)
        return
    found = resolve(preset)
    if found.family != "classifier":
        raise SpecError(
            f"model {model} is a {found.traits.product} ({preset}): --way optimise compares features of a classifier",
            hint="train a cnn",
        )


def _require_encoder(model: str, preset: str, version: ModelVersion | None) -> None:
    if not resolve(preset).traits.finds_latents:
        raise SpecError(
            f"model {model} ({preset}) has no encoder: it finds no latents of given images",
            hint="leave out --dataset to edit images that it makes, or train a vae",
        )
    if version is not None and not version.lineage.get(ENCODER_FACT):
        raise SpecError(
            f"model {model} was trained by an earlier pixmill, which did not keep its encoder",
            hint="leave out --dataset to edit images that it makes, or train it again",
        )


def _with_classes(spec: EditSpec, trained: TrainSpec, version: ModelVersion | None) -> EditSpec:
    if not trained.conditional:
        raise SpecError(f"model {spec.model} knows no classes", hint="train it with --conditional")
    if spec.classes is not None:
        return spec
    if version is None:
        raise SpecError(f"the classes of {spec.model} are not known yet", hint="name them: --classes A,B")
    return spec.model_copy(update={"classes": [str(name) for name in version.classes]})
