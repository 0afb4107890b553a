"""The specs of what writes images as small files, and makes images of them again."""

from typing import Annotated, Literal

from pydantic import Field

from pixmill.kinds import OnBadImage
from pixmill.specs.base import BaseSpec, JobId, Part


class CompressSpec(BaseSpec):
    """Write images as small files with a trained codec, and measure what is lost beside PNG and WebP."""

    kind: Literal["compress"] = "compress"
    model: str  # "NAME", "NAME@VERSION", "NAME@ALIAS" or "job:ID" of a train job
    dataset: str | None = None  # default: what the model was trained on
    part: Part | None = None  # default: held-out; of a folder or archive that is named, all
    n: Annotated[int, Field(ge=1, le=100_000)] = 1000  # images, from the first on
    on_bad_image: OnBadImage = "fail"


class DecompressSpec(BaseSpec):
    """Make PNG images of compressed ones, and compare them with what was recorded."""

    kind: Literal["decompress"] = "decompress"
    output: JobId | None = None  # the compress job whose files are read
    files: str | None = None  # or a folder of such files, …
    model: str | None = None  # … and the model that wrote them
