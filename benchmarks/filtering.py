"""What chosen images are worth: judges that learn from them, beside judges that learn from as many unchosen ones.

    python -m benchmarks.filtering --data FOLDER [--sets digits mnist] [--images 60000] [--n 1000] [--json FILE]

FOLDER holds `t10k-images-idx3-ubyte.gz` with its labels, 10,000 digits; the set digits needs none. A generator learns
classes from the training images, and so does the `cnn` that filters; neither sees the held-out fifth, on which the
judges are tested. Every way gives the same number of images of each class. `accepted` is the share of candidates that
passed; accuracies are of the random forest and of the cnn of an evaluation (`usefulness`), means over seeds. With
--pictures FOLDER, a sheet of each way.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import store
from benchmarks.quality import SETS
from imagemodels.classifier import Classifier
from imagemodels.confidence import confidences
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.evaluation.usefulness import LabelledImages, usefulness_measures
from imagemodels.random import candidate_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.selection import Images, Integers, Picked, Verdict, picked
from imagemodels.shell import train
from storage.pictures import contact_sheet, save_png

PLACES = {"digits": "digits", "mnist": SETS["mnist"]}
LEAST = (None, 0.5, 0.9, 0.99)  # confidence that is asked for; None: no filter
TRUNCATIONS = (1.0, 0.7)
TRIES = 1000
STORED = ("sets", "preset", "images", "filter_images", "n", "seeds", "threads")  # of the arguments


@dataclass(frozen=True)
class Found:
    """One way to choose images; of the real ones neither way nor share."""

    truncation: float | None
    least: float | None
    accepted: float | None
    forest: float  # accuracy on real held-out images
    cnn: float
    n: int


def measured(data: ImageDataset, arguments: argparse.Namespace) -> Iterator[Found]:
    """Measure every way to choose, and real images last."""
    runtime = Runtime(threads=arguments.threads)
    generator = train(arguments.preset, data, images=arguments.images, runtime=runtime)
    judge = train("cnn", data, images=arguments.filter_images, runtime=runtime)
    assert isinstance(generator, Generator)
    assert isinstance(judge, Classifier)
    print(f"the filter is right on {_accuracy(judge, data):.1%} of the held-out images", flush=True)
    numbers = np.arange(arguments.n, dtype=np.int64)
    labels = numbers % generator.num_classes
    real: list[tuple[float, float]] = []
    for truncation in TRUNCATIONS:
        for least in LEAST:
            chosen = _chosen(generator, judge, labels, truncation, least)
            if arguments.pictures:
                name = f"{data.name.partition(':')[0]}-{truncation:g}-{least or 0:g}.png"
                save_png(arguments.pictures / name, contact_sheet(chosen.images[:100], columns=10))
            forest, cnn, real = _usefulness(data, chosen.images, labels, arguments)
            share = len(numbers) / float((chosen.candidates + 1).sum())
            yield Found(truncation, least, share, forest, cnn, len(numbers))
    forest, cnn = np.mean(real, axis=0).tolist()
    yield Found(None, None, None, forest, cnn, len(numbers))


def _chosen(
    generator: Generator, judge: Classifier, labels: Integers, truncation: float, least: float | None
) -> Picked:
    """The first candidate of each number that the judge takes for its class; without `least` the very first."""

    def draw(rows: Integers, candidates: Integers) -> Images:
        latents = np.concatenate(
            [
                generator.latents(candidate_seed(0, candidate), row[None], labels[row][None], truncation=truncation)
                for row, candidate in zip(rows, candidates.tolist(), strict=True)
            ]
        )
        return generator.decode(latents, labels[rows])

    def look(rows: Integers, images: Images) -> Verdict:
        if least is None:
            return Verdict(np.ones(len(rows), bool), np.full(len(rows), np.nan))
        found, likeliest = confidences(judge, images, labels[rows])
        return Verdict((found >= least) & likeliest, found)

    return picked(len(labels), TRIES, generator.batch_size, draw, look)


def _usefulness(
    data: ImageDataset, images: Images, labels: Integers, arguments: argparse.Namespace
) -> tuple[float, float, list[tuple[float, float]]]:
    """Accuracies of forest and network after learning from these images, and, for each seed, from real ones."""
    assert data.labels is not None
    train_part, test_part = (
        LabelledImages(data.images[part], data.labels[part]) for part in (data.train_indices, data.test_indices)
    )
    made, real = [], []
    for seed in range(arguments.seeds):
        network, forest = usefulness_measures(
            LabelledImages(images, labels),
            train_part,
            test_part,
            len(data.class_names),
            seed=seed,
            runtime=Runtime(threads=arguments.threads),
            limit=arguments.n,
            tell=lambda _share: None,
        )
        made.append((forest.synthetic_accuracy, network.synthetic_accuracy))
        real.append((forest.real_accuracy, network.real_accuracy))
    forest_mean, network_mean = np.mean(made, axis=0).tolist()
    return forest_mean, network_mean, real


def _accuracy(judge: Classifier, data: ImageDataset) -> float:
    assert data.labels is not None
    rows = torch.from_numpy(data.images[data.test_indices]).permute(0, 3, 1, 2)
    return float((judge.predict(rows).numpy() == data.labels[data.test_indices]).mean())


def _row(found: Found) -> str:
    texts = ["real" if value is None else f"{value:g}" for value in (found.truncation,)]
    texts += ["–" if found.least is None else f"{found.least:g}"]
    texts += ["–" if found.accepted is None else f"{found.accepted:.1%}", f"{found.forest:.1%}", f"{found.cnn:.1%}"]
    return " ".join(f"{text:>10}" for text in texts)


def main() -> None:
    """Print a table for each set, and write the JSON."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    results: dict[str, list[dict[str, object]]] = {}
    for name in arguments.sets:
        data = load_dataset(PLACES[name].format(arguments.data.resolve()))
        print(f"\n{name}", flush=True)
        results[name] = []
        for found in measured(data, arguments):
            if not results[name]:
                print(" ".join(f"{word:>10}" for word in ("truncation", "confidence", "accepted", "forest", "cnn")))
            print(_row(found), flush=True)
            results[name].append(asdict(found))
        store(arguments, STORED, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.filtering", description="what chosen images are worth")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--sets", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--preset", default="vae")
    parser.add_argument("--images", type=int, default=60_000, help="budget: images that the generator sees in training")
    parser.add_argument("--filter-images", type=int, default=40_000, help="the same of the filter")
    parser.add_argument("--n", type=int, default=1_000, help="images of each way")
    parser.add_argument("--seeds", type=int, default=2, help="of the judges")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
