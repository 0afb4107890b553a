"""Is the request possible at all? Asked at submit, before a device is kept waiting for an answer.

Reads names and folders, never images: what only the data can tell is told by the job.
"""

from pathlib import Path

from imagemodels.data import DATASET_KINDS, check_dataset_name, names_pairs, names_sequences
from imagemodels.data.source import PATH_KINDS
from imagemodels.errors import ModelError
from imagemodels.options import RestorationOptions
from imagemodels.presets import Preset, options_for_pairs, resolve
from imagemodels.shares import check_devices
from pixmill.datasets import DatasetReference
from pixmill.errors import DatasetError, SpecError
from pixmill.homes import expanded
from pixmill.specs import CompressSpec, DecompressSpec, EvaluateSpec, GenerateSpec, Spec, TrainSpec
from pixmill.specs.formats import FILES_HINT, FILES_REFUSED, MAX_FILES

RESERVED_NAMES = frozenset(
    kind.partition(":")[0] for kind in DATASET_KINDS
)  # no data set is registered as one of these


def check_train(spec: TrainSpec) -> TrainSpec:
    """The spec with an absolute data set.

    Raises SpecError for an unknown preset or option, or one that is not trained on such data, and DatasetError for an
    unknown or missing data set.
    """
    check_preset(spec)
    _check_sort(spec)
    _check_pairs(spec)
    _check_devices(spec)
    return spec.model_copy(update={"dataset": check_dataset(spec.dataset)})


def check_format(spec: GenerateSpec) -> GenerateSpec:
    """The spec as it is.  Raises SpecError for a format that cannot hold what is asked for."""
    if spec.format == "raw" and spec.encoder is not None:
        raise SpecError(
            f"format raw holds pixels, not files; encoder {spec.encoder} was asked for", hint="leave it out"
        )
    if spec.format not in (None, "webdataset") and spec.labels_in_tar:
        raise SpecError(
            f"there is no tar in format {spec.format} that labels could be written into",
            hint="leave out --labels-in-tar: labels stand in every table",
        )
    if spec.format == "files" and spec.n > MAX_FILES:
        raise SpecError(
            f"format files is for at most {MAX_FILES:,} images, a file each; {spec.n:,} were asked for",
            hint="choose webdataset, parquet or raw",
        )
    return spec


def check_outputs(spec: Spec, outputs: str | None) -> None:
    """Raise SpecError for a format that cannot be where finished data sets go: None, below the storage root."""
    if outputs is not None and isinstance(spec, GenerateSpec) and spec.format == "files":
        raise SpecError(FILES_REFUSED, hint=FILES_HINT)


def check_evaluate(spec: EvaluateSpec) -> EvaluateSpec:
    """The spec with an absolute data set and an absolute file of weights.  Raises DatasetError or SpecError."""
    changes: dict[str, str] = {}
    if spec.dataset is not None:
        changes["dataset"] = check_images(spec.dataset)
    if spec.inception is not None:
        path = expanded(Path(spec.inception)).absolute()
        if not path.is_file():
            raise SpecError(
                f"there is no file {path}",
                hint="name weights of Inception, such as pt_inception-2015-12-05-6726825d.pth",
            )
        changes["inception"] = str(path)
    return spec.model_copy(update=changes)


def check_compress(spec: CompressSpec) -> CompressSpec:
    """The spec with an absolute data set and the part of it that is meant.  Raises DatasetError."""
    dataset = None if spec.dataset is None else check_images(spec.dataset)
    return spec.model_copy(update={"dataset": dataset, "part": part_of(dataset, spec.part)})


def part_of(dataset: str | None, part: str | None) -> str:
    """The part of a data set that is meant: of one's own files all, of what models are trained on the held-out one."""
    own = dataset is not None and dataset.partition(":")[0] in PATH_KINDS
    return part or ("all" if own else "held-out")


def check_decompress(spec: DecompressSpec) -> DecompressSpec:
    """The spec with an absolute folder.  Raises SpecError unless it names an output, or files and their model."""
    if (spec.output is None) == (spec.files is None):
        raise SpecError(
            "decompress reads the files of a compress job, or those of a folder; name one of the two",
            hint="--output ID, or --files FOLDER --model NAME",
        )
    if spec.files is None:
        if spec.model is not None:
            raise SpecError(f"job {spec.output} knows its model; {spec.model!r} was named", hint="leave out --model")
        return spec
    if spec.model is None:
        raise SpecError(f"the model that wrote the files in {spec.files} is missing", hint="name it with --model")
    folder = expanded(Path(spec.files)).absolute()
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}", hint="name a folder of compressed images")
    return spec.model_copy(update={"files": str(folder)})


def check_preset(spec: TrainSpec) -> None:
    """Raise SpecError unless the preset exists and takes the options, and the classes where they are asked for."""
    try:
        preset = resolve(spec.model, spec.options)
    except ModelError as error:
        raise SpecError(str(error), hint="pixmill model presets") from None
    if spec.conditional and not preset.traits.learns_classes:
        raise SpecError(f"preset {spec.model} learns no classes", hint="leave out --conditional")


def _check_devices(spec: TrainSpec) -> None:
    """Raise SpecError unless so many devices can share each batch."""
    preset = resolve(spec.model, spec.options)
    try:
        check_devices(spec.model, preset, spec.devices, spec.batch_size or preset.options.batch_size)
    except ModelError as error:
        raise SpecError(str(error), hint="leave out --devices, or ask for fewer") from None


def _check_sort(spec: TrainSpec) -> None:
    """Raise SpecError unless a preset for sequences gets sequences, and any other one images."""
    predicts_frames = resolve(spec.model).traits.predicts_frames
    if predicts_frames and not names_sequences(spec.dataset):
        place = "folder:PATH" if registered_reference(spec.dataset) is not None else spec.dataset
        hint = f"--dataset moving:{place}"
        raise SpecError(f"{spec.model} learns to predict frames, and {spec.dataset} is of single images", hint=hint)
    if not predicts_frames and names_sequences(spec.dataset):
        hint = f"--dataset {spec.dataset.partition(':')[2]}, or one of the models for sequences: pixmill model presets"
        raise SpecError(f"{spec.model} learns from images, and {spec.dataset} is of sequences", hint=hint)


def _check_pairs(spec: TrainSpec) -> None:
    """Raise SpecError unless pairs of images go to a preset that restores, which is to damage nothing itself."""
    if not names_pairs(spec.dataset):
        options = resolve(spec.model, spec.options).options
        if isinstance(options, RestorationOptions) and options.degradation == "given":
            raise SpecError(f"{spec.dataset} is of single images: nothing is given", hint="--dataset pairs:PATH")
        return
    if spec.on_bad_image != "fail":
        raise SpecError(f"{spec.dataset}: a pair without one of its images is none", hint="leave out --on-bad-image")
    try:
        resolve(spec.model, options_for_pairs(spec.model, spec.options))
    except ModelError as error:
        raise SpecError(str(error), hint="pixmill submit train --model pix2pix") from None


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


def require_codec(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, compresses no images."""
    found = resolve(preset, {})
    if found.family != "codec":
        raise SpecError(
            f"model {model} is a {found.traits.product} ({preset}): it compresses no images", hint="train a fsq-ae"
        )


def require_judge(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, is no classifier."""
    found = resolve(preset, {})
    if found.family != "classifier":
        raise SpecError(
            f"model {model} is a {found.traits.product} ({preset}): it judges no images", hint="train a cnn"
        )


def check_images(name: str) -> str:
    """The name of a data set of single images, as `check_dataset` gives it.  Raises DatasetError."""
    if names_sequences(name):
        raise DatasetError(f"{name} is of sequences, and images are needed", hint=f"--dataset {name.partition(':')[2]}")
    if names_pairs(name):
        hint = f"--dataset folder:{name.partition(':')[2]}"
        raise DatasetError(f"{name} is of pairs, and single images are needed", hint=hint)
    return check_dataset(name)


def require_generator(model: str, preset: str) -> None:
    """Raise SpecError when the preset, of the model of that name, makes no images."""
    found = resolve(preset, {})
    if not found.traits.makes_images:
        raise SpecError(
            f"model {model} is a {found.traits.product} ({preset}): it makes no images",
            hint=_use_of(model, found),
        )


def _use_of(model: str, preset: Preset) -> str:
    if preset.traits.predicts_frames:
        return f"pixmill submit animate --model {model}"
    if preset.traits.restores_images:
        return f"pixmill submit restore --model {model} --input FOLDER"
    return "pixmill model presets shows which do"
