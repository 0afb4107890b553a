"""The jobs of the demo: two kinds of generator, each trained, used and judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.submitting import summary
from db.engine import Database
from pixmill.settings import Settings
from pixmill.specs import EvaluateSpec, GenerateSpec, JobOptions, Spec, TrainSpec
from scheduler.submit import submit

DATASET = "digits"  # handwritten digits that come with scikit-learn: nothing is downloaded
CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything."""

    budgets: dict[str, int]  # preset → images seen in training
    image_size: int  # pixels
    images: int  # made by each model
    shard_size: int  # images
    judged: int  # of the images made


FULL = Scale(
    budgets={"vae": 80_000, "sngan": 80_000},
    image_size=16,
    images=10_000,
    shard_size=2_500,
    judged=5_000,
)
QUICK = Scale(budgets={"vae": 20_000}, image_size=16, images=1_000, shard_size=500, judged=1_000)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model's three jobs."""

    preset: str
    train: int
    generate: int
    evaluate: int

    @property
    def jobs(self) -> tuple[int, int, int]:
        """The ids in the order of their work."""
        return self.train, self.generate, self.evaluate


class Demonstration:
    """Submits the jobs, and tells of each; `stamp` tells this demo from every other on the same home."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        scale: Scale,
        *,
        stamp: str,
        user: str,
        tell: Callable[[str], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._scale = scale
        self._stamp = stamp
        self._user = user
        self._tell = tell
        self.job_ids: list[int] = []  # of the jobs that were added so far
        self.lines: list[Line] = []

    def submit(self) -> None:
        """Add all jobs at once: what needs another one's result waits for it in the queue, not here."""
        for preset in self._scale.budgets:
            train, generate, evaluate = self._chain(preset)
            self.lines.append(Line(preset=preset, train=train, generate=generate, evaluate=evaluate))

    def _chain(self, preset: str) -> Iterator[int]:
        scale = self._scale
        train = self._add(
            f"demo-{preset}",
            TrainSpec(
                model=preset,
                dataset=DATASET,
                image_size=scale.image_size,
                conditional=True,
                images=scale.budgets[preset],
            ),
        )
        yield train
        generate = self._add(
            f"demo-{preset}-images",
            GenerateSpec(model=f"job:{train}", n=scale.images, shard_size=scale.shard_size),
            after=train,
        )
        yield generate
        yield self._add(f"demo-{preset}-quality", EvaluateSpec(output=generate, n=scale.judged), after=generate)

    def _add(self, name: str, spec: Spec, *, after: int | None = None) -> int:
        options = JobOptions(
            name=name,
            after=[after] if after else [],
            key=f"demo:{self._stamp}:{name}",
            labels={"demo": self._stamp},
        )
        done = submit(self._database, self._settings, spec, options, user=self._user)
        self.job_ids.append(done.job_id)
        self._tell(f"job {done.job_id}: {summary(spec)}")
        return done.job_id
