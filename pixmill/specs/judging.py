"""The specs of what judges: images, and models by theirs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pixmill.gates.limits import MOST_SEEDS, Gates
from pixmill.kinds import OnBadImage
from pixmill.specs.base import BaseSpec, ImageCount, JobId


class EvaluateSpec(BaseSpec):
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


class GateSpec(BaseSpec):
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
