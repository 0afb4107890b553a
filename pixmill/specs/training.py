"""The spec of what makes a model."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from pixmill.kinds import OnBadImage
from pixmill.specs.base import BaseSpec, ImageCount, Precision

FROM_SCRATCH = "none"  # instead of a model to begin with

OptionValue = bool | int | float | str
PartOfAll = Annotated[float, Field(ge=0, le=1)]


class TrainSpec(BaseSpec):
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
