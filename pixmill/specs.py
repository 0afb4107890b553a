"""Job specs: what a person can ask for, as versioned JSON that is the same in a file, in the database and on a worker.

A spec says *what* to compute and is hashed; how it is queued (name, priority, dependencies …) is `JobOptions`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, field_validator, model_validator

from pixmill.arrays import parse_array_reference
from pixmill.errors import SpecError
from pixmill.gates.limits import MOST_SEEDS, Gates, Limits
from pixmill.kinds import OnBadImage
from pixmill.names import NAME_PATTERN, suggestion
from pixmill.times import parse_time, write_time

SPEC_VERSION = 1
FRAMES_A_SHARD = 2000  # of animations and edits, about
FROM_SCRATCH = "none"  # instead of a model to begin with

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Precision = Literal["fp32", "bf16", "auto"]
DeviceClass = Literal["any", "cpu", "cuda"]
OptionValue = bool | int | float | str
JobId = Annotated[int, Field(ge=1, lt=2**63)]
ImageCount = Annotated[int, Field(ge=1, le=10**12)]
ImageNumber = Annotated[int, Field(ge=0, lt=2**62)]
Strength = Annotated[float, Field(ge=-100, le=100)]
Weight = Annotated[float, Field(ge=0, le=1e12)]
Share = Annotated[float, Field(gt=0, le=1e12)]
PartOfAll = Annotated[float, Field(ge=0, le=1)]
ImageEncoder = Literal["png", "png-small", "webp", "jpeg"]
OutputFormat = Literal["webdataset", "parquet", "files", "raw"]

MAX_FILES = 100_000  # of format `files`; beyond it folders become slow
FILES_REFUSED = "format files is a folder for each class, which a bucket has not (storage.outputs)"
FILES_HINT = "choose another format: pixmill output export ID --format files makes the folders anywhere"

# A database looks for a key inside JSON by a path, where quotes, backslashes and control characters have a meaning.
LabelKey = Annotated[str, Field(pattern=r'^[^"\\\p{C}]{1,100}$')]


def _parent(value: Any) -> int | str:
    is_job = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63
    if not is_job and not (isinstance(value, str) and parse_array_reference(value) is not None):
        raise ValueError("write the id of a job, or array:12 for all jobs of an array")
    found: int | str = value
    return found


Parent = Annotated[int | str, PlainValidator(_parent)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Spec(_Frozen):
    # Fields that the kind has got since its first jobs were stored: not given, they leave the digest as it was.
    added: ClassVar[frozenset[str]] = frozenset()

    version: Literal[1] = 1
    seed: Seed = 0

    def digest(self) -> str:
        """SHA-256 over the canonical JSON, 64 hex digits: equal specs, equal digest."""
        left_out = {name for name in self.added if getattr(self, name) is None}
        text = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class TrainSpec(_Spec):
    """Train one model on one data set, and publish it as the next version of a model line."""

    added: ClassVar[frozenset[str]] = frozenset(
        {"start_from", "skip_unchanged", "accept_drift", "min_images", "max_shrink", "max_class_shift"}
        | {"max_unreadable"}
    )

    kind: Literal["train"] = "train"
    model: str  # preset, such as "vae"; `pixmill model presets` lists them
    dataset: str  # "digits", "mnist", "folder:PATH", …
    image_size: Annotated[int, Field(ge=8, le=256)] | None = None  # pixels, square; default: the data's own
    channels: Literal[1, 3] | None = None  # default: the data's own
    conditional: bool = False
    images: ImageCount = 200_000  # budget: images seen by the optimizer
    batch_size: Annotated[int, Field(ge=2, le=4096)] | None = None
    # Not written where it is 1, so that specs of before it have the digests that they had.
    devices: Annotated[int, Field(ge=1, le=64, exclude_if=lambda devices: devices == 1)] = 1  # share each batch
    precision: Precision = "fp32"
    on_bad_image: OnBadImage = "fail"
    options: dict[str, OptionValue] = Field(default_factory=dict)  # overrides of the preset, such as {"width": 32}
    start_from: str | None = None  # model whose weights it begins with; "none", or nothing: those of the seed
    skip_unchanged: bool | None = None  # train nothing on the very data that the version before was trained on
    accept_drift: bool | None = None  # whatever has become of the data, train on them
    min_images: Annotated[int, Field(ge=1, le=10**12)] | None = None  # fewer are refused; default: any number will do
    max_shrink: PartOfAll | None = None  # of the images of the version before, that may be missing; default: 0.5
    max_class_shift: PartOfAll | None = None  # of all images, that may be of other classes than before; default: 0.5
    max_unreadable: PartOfAll | None = None  # of all files, that may be left out as unreadable; default: 0.5

    @field_validator("start_from", mode="before")
    @classmethod
    def _none_is_no_model(cls, start_from: Any) -> Any:
        return None if start_from == FROM_SCRATCH else start_from


class GenerateSpec(_Spec):
    """Make `n` images from one model; image i depends on the model, the seed, i and its class alone."""

    added: ClassVar[frozenset[str]] = frozenset(
        {"class_counts", "class_weights", "truncation", "filter_model", "min_confidence", "max_tries", "on_reject"}
        | {"further_models", "model_weights", "reject_duplicates", "format", "encoder"}
    )

    kind: Literal["generate"] = "generate"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    n: ImageCount  # default: the sum of class_counts
    classes: list[str] | None = None  # make only these classes, in turn; default: all classes in turn
    class_counts: Annotated[dict[str, ImageCount], Field(min_length=1)] | None = None  # or so many of each
    class_weights: Annotated[dict[str, Share], Field(min_length=1)] | None = None  # or n in this proportion
    truncation: Annotated[float, Field(gt=0, le=1)] | None = None  # how far latents keep from their centre
    further_models: Annotated[list[str], Field(min_length=1, max_length=15)] | None = None  # that make images too
    model_weights: list[Share] | None = None  # how many each makes, `model` first; default: as many as any other
    filter_model: str | None = None  # classifier that keeps the images which it takes for their class …
    min_confidence: Annotated[float, Field(gt=0, lt=1)] | None = None  # … with this probability; default: 0.8
    reject_duplicates: Literal["exact", "near"] | None = None  # images that there are already; default: keep them
    max_tries: Annotated[int, Field(ge=1, le=10_000)] | None = None  # candidates of each image; default: 100
    on_reject: Literal["fail", "best"] | None = None  # what comes of an image without a good one; default: fail
    shard_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000  # images; of 64×64 RGB some 100 MB
    precision: Precision = "fp32"
    labels_in_tar: bool = False  # also write each label as a .cls member (1 KiB an image)
    format: OutputFormat | None = None  # default: webdataset
    encoder: ImageEncoder | None = None  # default: png; of format raw, none at all

    @property
    def models(self) -> list[str]:
        """All models that make images."""
        return [self.model, *(self.further_models or ())]

    @property
    def named_classes(self) -> list[str]:
        """The classes that are asked for by name; none: all."""
        return self.classes or list(self.class_counts or self.class_weights or ())

    @model_validator(mode="before")
    @classmethod
    def _n_is_the_sum_of_the_counts(cls, values: Any) -> Any:
        counts = values.get("class_counts") if isinstance(values, dict) else None
        if not isinstance(counts, dict) or values.get("n") is not None:
            return values
        whole = [count for count in counts.values() if type(count) is int and count > 0]
        return {**values, "n": sum(whole)} if counts and len(whole) == len(counts) else values


class AnimateSpec(_Spec):
    """Make `n` animations: walks through the latents of a generator, or sequences that a predictor goes on with.

    The frames are images of a data set: frame f of animation a has the index a · `frames_each` + f. What depends on the
    model (`stops` of a walk, `given` of a sequence) is filled in when the job is submitted.
    """

    kind: Literal["animate"] = "animate"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    n: Annotated[int, Field(ge=1, le=100_000)] = 10
    frames: Annotated[int, Field(ge=2, le=1000)] = 40  # of a whole walk; of a sequence, those that are predicted
    stops: Annotated[int, Field(ge=2, le=100)] | None = None  # latents that a walk comes by, and back; default: 4
    given: Annotated[int, Field(ge=1, le=500)] | None = None  # known frames of a sequence; default: as in training
    classes: list[str] | None = None  # each walk keeps to one of these, in turn; default: all classes in turn
    frame_milliseconds: Annotated[int, Field(ge=20, le=10_000, multiple_of=10)] = 100
    precision: Precision = "fp32"

    @property
    def frames_each(self) -> int:
        """Frames of one animation, the given ones included."""
        return self.frames + (self.given or 0)

    @property
    def images(self) -> int:
        """Frames of all animations."""
        return self.n * self.frames_each

    @property
    def shard_size(self) -> int:
        """Images in one archive: whole animations."""
        return _whole(self.frames_each)


class EditSpec(_Spec):
    """Change images: those of a data set, or those that a generator makes of the seed.

    Edit e has the images from e · `images_each` on: what it began with, and what it was made. What is left open here
    follows from `way` and model, and is filled in when the job is submitted.
    """

    kind: Literal["edit"] = "edit"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    way: Literal["attribute", "interpolate", "class", "optimise"]
    dataset: str | None = None  # of the images; default: what the model makes, or, of a classifier, was trained on
    part: Literal["held-out", "all"] | None = None  # default: held-out; of a folder or archive that is named, all
    n: Annotated[int, Field(ge=1, le=100_000)] | None = None  # edits; default: 10, or as many as there are indices
    indices: Annotated[list[ImageNumber], Field(min_length=1, max_length=10_000)] | None = None  # default: the first
    attribute: str | None = None  # a class: the direction is that towards its images …
    against: str | None = None  # … from those of this class; default: of all others
    apart_from: list[str] | None = None  # classes whose directions are left alone: it is made orthogonal to them
    examples: str | None = None  # the labelled data set; default: what the model was trained on
    fit: Literal["logistic", "means"] | None = None  # default: logistic
    strengths: Annotated[list[Strength], Field(min_length=1, max_length=100)] | None = None  # default: -1, 0, 1, 2
    steps: Annotated[int, Field(ge=2, le=1000)] | None = None  # images of a way, both ends included; default: 8
    classes: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None  # default: all of the model
    style: str | None = None  # data set of the image whose style is taken
    style_index: ImageNumber | None = None  # default: 0
    iterations: Annotated[int, Field(ge=1, le=10_000)] | None = None  # gradient steps; default: 200
    step_size: Annotated[float, Field(gt=0, le=1)] | None = None  # of pixels from -1 to 1; default: 0.05
    content_weight: Weight | None = None  # default: 1
    style_weight: Weight | None = None
    variation_weight: Weight | None = None
    precision: Precision = "fp32"
    on_bad_image: OnBadImage = "fail"

    @property
    def sources_each(self) -> int:
        """Images that one edit begins with."""
        return 2 if self.way in ("interpolate", "optimise") else 1

    @property
    def images_each(self) -> int:
        """Images of one edit, those it begins with included."""
        made = {
            "attribute": len(self.strengths or ()),
            "interpolate": self.steps or 0,
            "class": len(self.classes or ()),
            "optimise": 1,
        }
        return self.sources_each + made[self.way]

    @property
    def edits(self) -> int:
        """How many edits there are, once that is filled in."""
        assert self.n is not None
        return self.n

    @property
    def images(self) -> int:
        """Images of all edits."""
        return self.edits * self.images_each

    @property
    def shard_size(self) -> int:
        """Images in one archive: whole edits."""
        return _whole(self.images_each)


def _whole(each: int) -> int:
    """About FRAMES_A_SHARD images in groups of so many, none of them parted."""
    return each * max(1, FRAMES_A_SHARD // each)


class EvaluateSpec(_Spec):
    """Judge written images against real ones."""

    added: ClassVar[frozenset[str]] = frozenset({"judge", "inception"})

    kind: Literal["evaluate"] = "evaluate"
    output: JobId  # the generate job whose images are judged
    dataset: str | None = None  # default: what the model was trained on
    n: ImageCount = 5000  # how many of the output's images, from the first on
    usefulness: bool = True  # train-on-synthetic, test-on-real
    judge: str | None = None  # classifier whose features measure; default: one trained on the real images now
    inception: str | None = None  # file with the weights of Inception, by which fid-clean is measured too
    on_bad_image: OnBadImage = "fail"


class GateSpec(_Spec):
    """Judge whether a model may take the champion's place: both measured on the same data, seeds and feature net."""

    kind: Literal["gate"] = "gate"
    model: str  # the challenger: "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    against: str | None = None  # the champion, named alike; default: there is none, and limits alone decide
    dataset: str | None = None  # default: what the challenger was trained on
    # Images are made, and measured, once for each of the seeds from `seed` on.
    seeds: Annotated[int, Field(ge=2, le=MOST_SEEDS)] = 3
    images: Annotated[int, Field(ge=10, le=10_000)] = 2000  # of each model and seed
    gates: Gates | None = None  # measure → limits; default: those of the model's family
    primary: str | None = None  # the measure in which the challenger has to be no worse; default: kid
    on_bad_image: OnBadImage = "fail"


class CompressSpec(_Spec):
    """Write images as small files with a trained codec, and measure what is lost beside PNG and WebP."""

    kind: Literal["compress"] = "compress"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    dataset: str | None = None  # default: what the model was trained on
    part: Literal["held-out", "all"] | None = None  # default: held-out; of a folder or archive that is named, all
    n: Annotated[int, Field(ge=1, le=100_000)] = 1000  # images, from the first on
    on_bad_image: OnBadImage = "fail"


class DecompressSpec(_Spec):
    """Make PNG images of compressed ones, and compare them with what was recorded."""

    kind: Literal["decompress"] = "decompress"
    output: JobId | None = None  # the compress job whose files are read
    files: str | None = None  # or a folder of such files, …
    model: str | None = None  # … and the model that wrote them


class RestoreSpec(_Spec):
    """Make whole images of damaged ones with a trained model; restored image i is made of the i-th of the input."""

    kind: Literal["restore"] = "restore"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    input: str  # a folder of images of one size, which they keep; or a data set, brought to the model's size
    mask: str | None = None  # of a folder: one with a mask for each image, white where pixels are missing
    degrade: bool = False  # the images are whole: damage them first, as in training, and measure
    part: Literal["held-out", "all"] | None = None  # of a data set; default: held-out; of an archive, all
    n: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # images at most, from the first on; default: all
    shard_size: Annotated[int, Field(ge=1, le=100_000)] = 1000  # images in one archive
    precision: Precision = "fp32"

    @property
    def folder(self) -> str | None:
        """The folder of images, if it is one."""
        return self.input.removeprefix("folder:") if self.input.startswith("folder:") else None


class PingSpec(_Spec):
    """Do nothing, but go through the whole line: shows that jobs are dispatched, run and finished."""

    kind: Literal["ping"] = "ping"


class ReportSpec(_Spec):
    """Write the page of a pipeline run below the storage root, where its readers look for it."""

    kind: Literal["report"] = "report"
    run: JobId  # of a pipeline


Spec = (
    TrainSpec
    | GenerateSpec
    | AnimateSpec
    | EditSpec
    | EvaluateSpec
    | GateSpec
    | CompressSpec
    | DecompressSpec
    | RestoreSpec
    | ReportSpec
    | PingSpec
)

MAX_DEPTH = 40  # of lists and mappings in each other, in what is asked for
LONGEST_SHOWN = 200  # characters of a value that cannot be
_HALF = re.compile(r"[\ud800-\udfff]")
_UNION_TAGS = {"bool", "int", "float", "str"}  # pydantic appends the member of a union that it tried

KINDS: dict[str, type[Spec]] = {
    "train": TrainSpec,
    "generate": GenerateSpec,
    "animate": AnimateSpec,
    "edit": EditSpec,
    "evaluate": EvaluateSpec,
    "gate": GateSpec,
    "compress": CompressSpec,
    "decompress": DecompressSpec,
    "restore": RestoreSpec,
    "report": ReportSpec,
    "ping": PingSpec,
}


class JobOptions(_Frozen):
    """How a job is queued; none of it changes what is computed."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None  # a train job's name is its model line
    queue: Annotated[str, Field(pattern=NAME_PATTERN)] = "default"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0  # larger runs first
    device: DeviceClass = "any"
    after: list[Parent] = Field(default_factory=list)  # jobs, and all those of arrays, that must end first
    after_policy: Literal["ok", "any"] = "ok"  # ok: they must succeed
    hold: bool = False
    begin: str | None = None  # RFC 3339, not earlier than
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = None  # same key, same job
    labels: dict[LabelKey, str] = Field(default_factory=dict)
    retries: Annotated[int, Field(ge=0, le=100)] = 2  # failures that may pass are tried again so often
    retry_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0  # before the first retry; doubles with each
    time_limit_seconds: Annotated[float, Field(gt=0, le=10**9)] | None = None  # of one attempt at one task

    @property
    def arrays_before(self) -> list[int]:
        """Arrays all of whose jobs must end first."""
        found = (parse_array_reference(one) for one in self.after if isinstance(one, str))
        return [array_id for array_id in found if array_id is not None]

    @field_validator("begin")
    @classmethod
    def _begin_has_a_zone(cls, begin: str | None) -> str | None:
        return begin if begin is None else write_time(parse_time(begin))


def parse_spec(values: Mapping[str, Any]) -> Spec:
    """A validated spec from plain JSON values.

    Raises SpecError that names the key, what was found and what is allowed.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = "no 'kind'" if kind is None else f"unknown kind {kind!r}"
        raise SpecError(f"the spec has {found}", hint=suggestion(str(kind), KINDS))
    version = values.get("version", SPEC_VERSION)
    if version != SPEC_VERSION:
        raise SpecError(
            f"spec version {version!r} is not known; this pixmill reads version {SPEC_VERSION}",
            hint="upgrade pixmill on this host",
        )
    refuse_nul(values, f"{kind} spec")
    try:
        return KINDS[kind].model_validate(dict(values))
    except ValidationError as error:
        raise spec_error(error, KINDS[kind].model_fields, f"{kind} spec") from None


def parse_options(values: Mapping[str, Any]) -> JobOptions:
    """Validated queueing options; raises SpecError like `parse_spec`."""
    refuse_nul(values, "job options")
    try:
        return JobOptions.model_validate(dict(values))
    except ValidationError as error:
        raise spec_error(error, JobOptions.model_fields, "job options") from None


def split_document(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A spec document's keys, parted into those of the spec and those of `JobOptions`."""
    option_keys = JobOptions.model_fields.keys()
    spec = {key: value for key, value in values.items() if key not in option_keys}
    options = {key: value for key, value in values.items() if key in option_keys}
    return spec, options


def spec_error(error: ValidationError, known: Iterable[str], where: str) -> SpecError:
    """The first problem that pydantic found, in one line."""
    # A misspelt key also leaves the right one missing: the unknown key explains both.
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    path = [str(part) for part in problem["loc"]]
    in_union = len(path) > 2 and path[-1] in _UNION_TAGS
    if in_union:
        path.pop()
    dotted = ".".join(path) or "(whole)"
    if problem["type"] == "extra_forbidden":
        inner = Limits.model_fields if path[0] == "gates" else known
        return SpecError(f"{where}: unknown key '{dotted}'", hint=suggestion(path[-1], inner))
    if problem["type"] == "missing":
        return SpecError(f"{where}: '{dotted}' is missing", hint=f"give a value for '{dotted}'")
    message = problem["msg"].removeprefix("Value error, ")
    if in_union:
        message = "input should be true, false, a finite number or a string"
    message = message[:1].lower() + message[1:]
    hint = f"give another value for '{dotted}'"
    found = repr(problem.get("input"))
    shown = found if len(found) <= LONGEST_SHOWN else f"{found[:LONGEST_SHOWN]}…"
    return SpecError(f"{where}: '{dotted}' is {shown}: {message}", hint=hint)


def refuse_nul(values: object, where: str) -> None:
    """Raise SpecError for a text that no database takes, and for more than any spec holds."""
    for text in _texts(values, where):
        # PostgreSQL stores no NUL, neither in text nor in JSON.
        if "\0" in text:
            raise SpecError(f"{where}: a text holds the character NUL", hint="remove it")
        if _HALF.search(text):
            raise SpecError(f"{where}: a text holds half a character, which is no UTF-8", hint="remove it")


def _texts(values: object, where: str, depth: int = 0) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise SpecError(f"{where}: more than {MAX_DEPTH} lists and mappings in each other")
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _texts(key, where, depth + 1)
            yield from _texts(value, where, depth + 1)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _texts(value, where, depth + 1)
