"""Is the request possible at all? Asked at submit, before a device is kept waiting for an answer.

Reads names and folders, never images: what only the data can tell is told by the job.
"""

from imagemodels.data import check_dataset_name
from imagemodels.errors import ModelError
from imagemodels.presets import resolve
from pixmill.errors import DatasetError, SpecError
from pixmill.specs import TrainSpec


def check_train(spec: TrainSpec) -> TrainSpec:
    """The spec with an absolute data set.

    Raises SpecError for an unknown preset or option, DatasetError for an unknown or missing data set.
    """
    check_preset(spec)
    return spec.model_copy(update={"dataset": check_dataset(spec.dataset)})


def check_preset(spec: TrainSpec) -> None:
    """Raise SpecError unless the preset exists and takes the options."""
    try:
        resolve(spec.model, spec.options)
    except ModelError as error:
        raise SpecError(str(error), hint="pixmill model presets") from None


def check_dataset(name: str) -> str:
    """The name with its path made absolute, as a worker in another folder needs it.

    Raises DatasetError unless the name is known and its folder or file is there.
    """
    try:
        return check_dataset_name(name)
    except ModelError as error:
        hint = "give a known name, or folder:PATH of a folder that holds images, one sub-folder a class"
        raise DatasetError(str(error), hint=hint) from None


def require_generator(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, makes no images."""
    if not resolve(preset, {}).makes_images:
        raise SpecError(
            f"model {model} is a classifier ({preset}): it makes no images", hint="pixmill model presets shows which do"
        )
