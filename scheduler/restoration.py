"""What a restore job can be asked for, which depends on its model."""

from pathlib import Path

from imagemodels.data import names_pairs
from imagemodels.data.source import BUILT_IN_KINDS, PATH_KINDS
from imagemodels.networks.restoration_specs import DegradationSpec
from imagemodels.options import RestorationOptions
from imagemodels.presets import options_for_pairs, resolve
from pixmill.errors import DatasetError, SpecError
from pixmill.homes import expanded
from pixmill.specs import RestoreSpec, TrainSpec
from scheduler.validation import check_images


def check_restore(spec: RestoreSpec) -> RestoreSpec:
    """The spec with absolute paths, and the part of a data set that is meant.

    Raises SpecError for what does not go together, and DatasetError for what is not there.
    """
    if spec.mask is not None and spec.degrade:
        raise SpecError("holes are either drawn, or given by masks", hint="leave out --mask or --degrade")
    given = expanded(Path(spec.input.removeprefix("folder:")))
    if spec.input in BUILT_IN_KINDS or not (spec.input.startswith("folder:") or given.is_dir()):
        return _of_dataset(spec)
    if spec.part is not None:
        raise SpecError(f"{given} is a folder of images, all of which are restored", hint="leave out --part")
    mask = None if spec.mask is None else _folder(expanded(Path(spec.mask)), "masks")
    return spec.model_copy(update={"input": check_images(f"folder:{given.absolute()}"), "mask": mask})


def _of_dataset(spec: RestoreSpec) -> RestoreSpec:
    if spec.mask is not None:
        hint = "give a folder of images, or draw the holes: --degrade"
        raise SpecError(f"masks belong to the files of a folder, and {spec.input} is a data set", hint=hint)
    name = check_images(spec.input)
    own = name.partition(":")[0] in PATH_KINDS
    return spec.model_copy(update={"input": name, "part": spec.part or ("all" if own else "held-out")})


def _folder(path: Path, what: str) -> str:
    if not path.is_dir():
        raise DatasetError(f"there is no folder {path}", hint=f"name a folder of {what}")
    return str(path.absolute())


def require_restorer(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, restores no images."""
    found = resolve(preset)
    if not found.traits.restores_images:
        hint = "train a conv-ae or a pix2pix"
        raise SpecError(f"model {model} is a {found.traits.product} ({preset}): it restores no images", hint=hint)


def check_damage(spec: RestoreSpec, trained: TrainSpec) -> None:
    """Raise SpecError unless the model, trained as `trained` says, can do what is asked for.

    It is told where holes are if, and only if, it fills holes; one that was trained on pairs knows no damage to do.
    """
    damage = damage_of(trained)
    if damage.name == "given" and spec.degrade:
        why = f"model {spec.model} was trained on pairs of images: it knows no damage to do"
        raise SpecError(why, hint="leave out --degrade")
    if damage.has_holes and spec.mask is None and not spec.degrade:
        hint = "--mask FOLDER of masks, white where pixels are missing; or --degrade, to draw holes in whole images"
        raise SpecError(f"model {spec.model} fills holes, and must be told where they are", hint=hint)
    if spec.mask is not None and not damage.has_holes:
        hint = "leave out --mask, or train with --set degradation=mask"
        raise SpecError(f"model {spec.model} was trained on {damage.name}: it fills no holes", hint=hint)


def damage_of(trained: TrainSpec) -> DegradationSpec:
    """What a model was trained to restore from."""
    options = options_for_pairs(trained.model, trained.options) if names_pairs(trained.dataset) else trained.options
    found = resolve(trained.model, options).options
    assert isinstance(found, RestorationOptions)
    return found.damage
