"""Is the request possible at all? Asked at submit, before a device is kept waiting for an answer.

Reads names and folders, never images: what only the data can tell is told by the job.
"""

from imagemodels.data import DATASET_KINDS, check_dataset_name
from imagemodels.errors import ModelError
from imagemodels.presets import resolve
from pixmill.datasets import DatasetReference
from pixmill.errors import DatasetError, SpecError
from pixmill.specs import TrainSpec

RESERVED_NAMES = frozenset(
    kind.partition(":")[0] for kind in DATASET_KINDS
)  # no data set is registered as one of these


def check_train(spec: TrainSpec) -> TrainSpec:
    """The spec with an absolute data set.

    Raises SpecError for an unknown preset or option, DatasetError for an unknown or missing data set.
    """
    check_preset(spec)
    return spec.model_copy(update={"dataset": check_dataset(spec.dataset)})


def check_preset(spec: TrainSpec) -> None:
    """Raise SpecError unless the preset exists and takes the options, and the classes where they are asked for."""
    try:
        preset = resolve(spec.model, spec.options)
    except ModelError as error:
        raise SpecError(str(error), hint="pixmill model presets") from None
    if spec.conditional and not preset.learns_classes:
        raise SpecError(f"preset {spec.model} learns no classes", hint="leave out --conditional")


def check_dataset(name: str) -> str:
    """The name with its path made absolute, as a worker in another folder needs it.

    A name that only the database may know is given back as it is. Raises DatasetError unless any other is known and its
    folder or file is there.
    """
    if registered_reference(name) is not None:
        return name
    return check_place(name)


def registered_reference(name: str) -> DatasetReference | None:
    """The registered data set that the name may mean; None when it means something else."""
    reference = DatasetReference.parse(name)
    return None if reference is None or reference.name in RESERVED_NAMES else reference


def check_place(name: str, hint: str | None = None) -> str:
    """The same for a name that no database knows; the hint is for the case that nobody knows it."""
    try:
        return check_dataset_name(name)
    except ModelError as error:
        known = (
            "give a known name, or folder:PATH of images, one sub-folder a class; or register one: pixmill dataset add"
        )
        raise DatasetError(str(error), hint=hint or known) from None


def require_generator(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, makes no images."""
    found = resolve(preset, {})
    if not found.makes_images:
        raise SpecError(
            f"model {model} is a {found.product} ({preset}): it makes no images",
            hint="pixmill model presets shows which do",
        )
