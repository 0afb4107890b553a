"""The quality of each preset's images under an equal budget of images seen, beside the loops of the tutorials.

    python -m benchmarks.quality --data FOLDER [--sets mnist cifar10] [--presets …] [--images 100000] [--seeds 3]

FOLDER holds `t10k-images-idx3-ubyte.gz` with its labels, 10,000 digits, and `cifar10-train-10k.zip`, 10,000 photographs
in class folders. A fifth of each class is held out. Every contender is conditional, sees the same number of images in
one process, and is judged as it stands at the end, by the same feature net and the same judges, on the same number of
images. `end/best` compares the kernel distance at the end with the smallest of those measured on the way: far above 1
it went to pieces. `images/s` are images seen in a second of processor time, on however many threads. A forest may be
done before the budget is spent; its images/s are those of the budget all the same.
The bound of the autoencoders is the evidence lower bound of held-out images in nats a value, under
a Gaussian decoder whose variance is the best for the training images: one yardstick for all losses.

It takes hours. With `--cache FOLDER` what has been measured is kept there: asked again with the same settings and the
same code, it goes on with what is missing. Several may share the folder, each with other sets or presets.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import mean, pstdev
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import imagemodels
from benchmarks import reference_small
from benchmarks.machine import machine
from benchmarks.reference_small import ReferenceGan, ReferenceVae, framed, unframed
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.evaluation import FeatureNet, evaluate, feature_net, quality_metric
from imagemodels.evaluation.quality import Sampler
from imagemodels.evaluation.report import Metric
from imagemodels.pixels import to_float, to_uint8
from imagemodels.runtime import Runtime
from imagemodels.training.autoencoder import AutoencoderTask
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Step
from imagemodels.training.runs import new_run
from imagemodels.training.trainer import Trainer
from pixmill.times import write_time

SETS = {"mnist": "idx:{}/t10k-images-idx3-ubyte.gz", "cifar10": "zip:{}/cifar10-train-10k.zip"}
REFERENCES = ("plain dcgan", "plain vae")
PRESETS = ("dcgan", "sngan", "lsgan", "wgan-gp", "r3gan", "mlp-gan", "vae", "beta-vae", "mlp-vae", "vae-gan", "forest")
MEASUREMENTS = 4  # of the kernel distance on the way
BATCH = 64  # of the plain loops
COLUMNS = ("kid", "end/best", "coverage", "recall", "usefulness@cnn", "usefulness@forest", "bound", "images/s")

Labels = npt.NDArray[np.int64]
Bound = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # of images in [-1, 1] and labels: squared errors, KL


@dataclass
class Found:
    """What was measured of one contender with one seed."""

    contender: str
    seed: int
    values: dict[str, float]
    controls: dict[str, float] = field(default_factory=dict)  # the same measures of held-out real images


class Contender:
    """Something that is trained for so many images, makes images, and may have a bound."""

    def __init__(self, advance: Callable[[int], None], sampler: Callable[[], Sampler], bound: Bound | None) -> None:
        self.advance = advance  # to so many images seen in all
        self.sampler = sampler
        self.bound = bound


def preset_contender(preset: str, data: ImageDataset, images: int, seed: int, threads: int) -> Contender:
    """Return one of ours, with its default options."""
    config = TrainConfig(
        preset=preset,
        image_size=data.image_size,
        channels=data.channels,
        num_classes=data.num_classes,
        images=images,
        seed=seed,
    )
    run = new_run(config, *training_tensors(data), Runtime(threads=threads))
    events = run.run()

    def advance(until: int) -> None:
        while run.images_seen < min(until, run.total_images):
            while not isinstance(next(events), Step):
                pass

    task = run.task if isinstance(run, Trainer) else None
    bound = (lambda pixels, labels: task_errors(task, pixels, labels)) if isinstance(task, AutoencoderTask) else None
    return Contender(advance, run.generator, bound)


def task_errors(task: AutoencoderTask, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared errors (N,) summed over the values of each image, and the KL divergences (N,)."""
    for network in (task.encoder, task.decoder):
        network.eval()
    means, log_variances = task.encoder(images, labels).chunk(2, dim=1)
    errors = _errors(images, means, log_variances, lambda latents: task.decoder(latents, labels))
    for network in (task.encoder, task.decoder):
        network.train()
    return errors


def _errors(
    images: Tensor, means: Tensor, log_variances: Tensor, decode: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    latents = means + torch.exp(0.5 * log_variances) * torch.randn_like(means)
    divergence = 0.5 * (means.square() + log_variances.exp() - 1 - log_variances).sum(1)
    return (images - decode(latents)).square().flatten(1).sum(1), divergence


class ReferenceSampler:
    """Makes the images of a plain loop as uint8."""

    def __init__(self, reference: ReferenceGan | ReferenceVae, data: ImageDataset) -> None:
        self._reference = reference
        self._data = data

    def sample(self, seed: int, indices: Labels, labels: Labels | None = None) -> npt.NDArray[np.uint8]:
        """Return images (N, H, W, C)."""
        generator = torch.Generator().manual_seed(seed)
        wanted = torch.from_numpy(labels if labels is not None else indices % self._data.num_classes)
        parts = [self._reference.sample(generator, part) for part in torch.split(wanted, 256)]
        pixels = to_uint8(unframed(torch.cat(parts), self._data.image_size))
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


def reference_contender(name: str, data: ImageDataset, width: int, seed: int) -> Contender:
    """Return a plain loop."""
    torch.manual_seed(seed)
    kind = ReferenceGan if name == "plain dcgan" else ReferenceVae
    reference = kind(data.channels, data.num_classes, width)
    pixels, labels = training_tensors(data)
    seen = 0

    def advance(until: int) -> None:
        nonlocal seen
        while seen < until:
            chosen = torch.randint(len(pixels), (BATCH,))
            reference.step(framed(to_float(pixels[chosen])), labels[chosen])
            seen += BATCH

    def errors(images: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(reference, ReferenceVae)
        reference.encoder.eval(), reference.decoder.eval()
        side = images.shape[-1]
        means, log_variances = reference.encode(framed(images), given)
        found = _errors(images, means, log_variances, lambda latents: unframed(reference.decode(latents, given), side))
        reference.encoder.train(), reference.decoder.train()
        return found

    is_vae = isinstance(reference, ReferenceVae)
    return Contender(advance, lambda: ReferenceSampler(reference, data), errors if is_vae else None)


def training_tensors(data: ImageDataset) -> tuple[Tensor, Tensor]:
    """Return pixels (N, C, H, W) and labels (N,) of the training part."""
    return _tensors(data, data.train_indices)


def _tensors(data: ImageDataset, indices: Labels) -> tuple[Tensor, Tensor]:
    assert data.labels is not None
    pixels = torch.from_numpy(data.images[indices]).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.from_numpy(data.labels[indices])


@torch.no_grad()
def held_out_bound(bound: Bound, data: ImageDataset) -> float:
    """Return the evidence lower bound of the held-out images, in nats a value."""
    (train_errors, _), (test_errors, divergences) = (
        _all_errors(bound, data, indices) for indices in (data.train_indices, data.test_indices)
    )
    values = data.image_size**2 * data.channels
    variance = float(train_errors.mean()) / values
    nats = 0.5 * values * np.log(2 * np.pi * variance) + 0.5 * float(test_errors.mean()) / variance
    return -float(nats + divergences.mean()) / values


def _all_errors(bound: Bound, data: ImageDataset, indices: Labels) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    pixels, labels = _tensors(data, indices)
    batches = zip(torch.split(pixels, 256), torch.split(labels, 256), strict=True)
    parts = [bound(to_float(some), of) for some, of in batches]
    errors, divergences = zip(*parts, strict=True)
    return torch.cat(errors), torch.cat(divergences)


class Contest:
    """One data set, one budget, one set of judges."""

    def __init__(self, name: str, data: ImageDataset, net: FeatureNet, arguments: argparse.Namespace) -> None:
        self.name = name
        self.data = data
        self.net = net
        self.arguments = arguments
        self._quality = quality_metric(data, net, count=1000, seed=0)

    def find(self, contender: str, seed: int, folder: Path) -> Found:
        """What was measured before with these settings and this code, else train and judge."""
        kept = folder / f"{self._settings(contender, seed)}.json"
        if kept.exists():
            return Found(**json.loads(kept.read_text(encoding="utf-8")))
        found = self._measure(contender, seed)
        kept.write_text(json.dumps(asdict(found)), encoding="utf-8")
        return found

    def _settings(self, contender: str, seed: int) -> str:
        budget = (self.arguments.images, self.arguments.generated, self.arguments.reference_width)
        parts = (code_digest(), self.name, self.net.name, contender.replace(" ", "_"), *budget, seed)
        return "-".join(str(part) for part in parts)

    def _measure(self, contender: str, seed: int) -> Found:
        made = self._contender(contender, seed)
        distances, seconds = [], 0.0
        for part in range(1, MEASUREMENTS + 1):
            began = time.process_time()
            made.advance(self.arguments.images * part // MEASUREMENTS)
            seconds += time.process_time() - began
            distances.append(self._quality(made.sampler()))
        values, controls = self._judged(made.sampler(), seed)
        values["end/best"] = distances[-1] / max(min(distances), 1e-4)
        values["images/s"] = self.arguments.images / seconds
        if made.bound is not None:
            values["bound"] = held_out_bound(made.bound, self.data)
        return Found(contender, seed, values, controls)

    def _contender(self, name: str, seed: int) -> Contender:
        if name in REFERENCES:
            return reference_contender(name, self.data, self.arguments.reference_width, seed)
        return preset_contender(name, self.data, self.arguments.images, seed, self.arguments.threads)

    def _judged(self, sampler: Sampler, seed: int) -> tuple[dict[str, float], dict[str, float]]:
        count = self.arguments.generated
        indices = np.arange(count, dtype=np.int64)
        labels = indices % self.data.num_classes
        images = sampler.sample(seed, indices, labels)
        runtime = Runtime(threads=self.arguments.threads)
        report = evaluate(self.data, images, labels, feature_net=self.net, runtime=runtime, seed=seed)
        shown = [metric for metric in report.metrics if _short(metric.name) in COLUMNS]
        return {_short(metric.name): metric.value for metric in shown}, _of_real_images(shown)


def _of_real_images(metrics: Sequence[Metric]) -> dict[str, float]:
    return {
        _short(metric.name): control.value
        for metric in metrics
        for control in metric.controls
        if control.name in ("held_out_real", "real_training")
    }


def _short(name: str) -> str:
    return name if name.startswith("usefulness") else name.split("@", maxsplit=1)[0]


def print_table(contest: Contest, found: Sequence[Found]) -> None:
    """One row a contender: means over the seeds, and the deviation of the kernel distance."""
    print(f"\n{contest.name} ({contest.net.name}, accuracy {contest.net.accuracy:.3f})")
    print(" ".join([f"{'':12}", *(f"{column:>17}" for column in COLUMNS)]))
    for name in dict.fromkeys(one.contender for one in found):
        print(_row(name, [one.values for one in found if one.contender == name]))
    print(_row("real images", [one.controls for one in found]), flush=True)


def _row(name: str, values: Sequence[dict[str, float]]) -> str:
    cells = []
    for column in COLUMNS:
        series = [one[column] for one in values if column in one]
        spread = f" ± {pstdev(series):.3f}" if len(series) > 1 and column == "kid" else ""
        digits = 0 if column == "images/s" else 3
        cells.append(f"{f'{mean(series):.{digits}f}{spread}' if series else '–':>17}")
    return " ".join([f"{name:12}", *cells])


@cache
def code_digest() -> str:
    """Name what trains and judges: eight digits of the SHA-256 of its sources."""
    sources = [Path(__file__), Path(reference_small.__file__), *Path(imagemodels.__file__).parent.rglob("*.py")]
    return sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:8]


@contextmanager
def scratch(given: Path | None) -> Iterator[Path]:
    """A folder for the feature nets and what was measured, kept where it was asked for."""
    if given is not None:
        yield given
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Run the contests, print their tables, and write the JSON."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    documents = []
    with scratch(arguments.cache) as folder:
        for name in arguments.sets:
            data = load_dataset(SETS[name].format(arguments.data.resolve()))
            net = feature_net(data, folder, Runtime(threads=arguments.threads))
            contest = Contest(name, data, net, arguments)
            found = []
            for contender in arguments.presets:
                for seed in range(arguments.seeds):
                    found.append(contest.find(contender, seed, folder))
                    print(_row(f"{contender} {seed}", [found[-1].values]), flush=True)
            print_table(contest, found)
            documents.append({"set": name, "found": [asdict(one) for one in found]})
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(arguments, documents), indent=2) + "\n", encoding="utf-8")


def _document(arguments: argparse.Namespace, documents: list[dict[str, object]]) -> dict[str, object]:
    settings = {key: str(value) for key, value in vars(arguments).items() if key not in ("data", "json", "cache")}
    return {"date": write_time(datetime.now(UTC)), "settings": settings, "machine": machine(), "results": documents}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.quality", description="how good the images of each preset are")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--presets", nargs="+", choices=(*REFERENCES, *PRESETS), default=[*REFERENCES, *PRESETS])
    parser.add_argument("--images", type=int, default=100_000, help="budget: images seen in training")
    parser.add_argument("--generated", type=int, default=5_000, help="images that are judged")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reference-width", type=int, default=32, help="channels of the plain loops' largest map")
    parser.add_argument("--cache", type=Path, help="keep the feature nets and each result here")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
