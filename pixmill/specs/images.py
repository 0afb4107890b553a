"""The specs of what makes images: whole data sets, animations, edits, restored ones."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from pixmill.kinds import OnBadImage
from pixmill.specs.base import BaseSpec, ImageCount, Part, Precision
from pixmill.specs.formats import ImageEncoder, OutputFormat

FRAMES_A_SHARD = 2000  # of animations and edits, about

ImageNumber = Annotated[int, Field(ge=0, lt=2**62)]
Strength = Annotated[float, Field(ge=-100, le=100)]
Weight = Annotated[float, Field(ge=0, le=1e12)]
Share = Annotated[float, Field(gt=0, le=1e12)]


class GenerateSpec(BaseSpec):
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


class AnimateSpec(BaseSpec):
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


class EditSpec(BaseSpec):
    """Change images: those of a data set, or those that a generator makes of the seed.

    Edit e has the images from e · `images_each` on: what it began with, and what it was made. What is left open here
    follows from `way` and model, and is filled in when the job is submitted.
    """

    kind: Literal["edit"] = "edit"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    way: Literal["attribute", "interpolate", "class", "optimise"]
    dataset: str | None = None  # of the images; default: what the model makes, or, of a classifier, was trained on
    part: Part | None = None  # default: held-out; of a folder or archive that is named, all
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


class RestoreSpec(BaseSpec):
    """Make whole images of damaged ones with a trained model; restored image i is made of the i-th of the input."""

    kind: Literal["restore"] = "restore"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    input: str  # a folder of images of one size, which they keep; or a data set, brought to the model's size
    mask: str | None = None  # of a folder: one with a mask for each image, white where pixels are missing
    degrade: bool = False  # the images are whole: damage them first, as in training, and measure
    part: Part | None = None  # of a data set; default: held-out; of an archive, all
    n: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # images at most, from the first on; default: all
    shard_size: Annotated[int, Field(ge=1, le=100_000)] = 1000  # images in one archive
    precision: Precision = "fp32"

    @property
    def folder(self) -> str | None:
        """The folder of images, if it is one."""
        return self.input.removeprefix("folder:") if self.input.startswith("folder:") else None


def _whole(each: int) -> int:
    """About FRAMES_A_SHARD images in groups of so many, none of them parted."""
    return each * max(1, FRAMES_A_SHARD // each)
