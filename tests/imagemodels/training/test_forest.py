import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import imagemodels as im
from imagemodels.card import Metadata
from imagemodels.errors import ConfigError, CorruptCheckpoint, DataError, UnknownPreset
from imagemodels.export import load_model, save_model
from imagemodels.forests.groups import parted
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Event, Progress, Quality, Samples, Step
from imagemodels.training.forest import ForestFit
from imagemodels.training.runs import new_run
from imagemodels.training.trainer import Trainer
from tests.imagemodels.pictures import coloured, digits

COUNT = 300
RUNTIME = Runtime(threads=1)
SMALL = {"components": 8, "trees": 3, "parts": 2, "leaf_images": 2}


def config(**changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "preset": "forest",
        "image_size": 8,
        "channels": 1,
        "num_classes": 10,
        "images": 3 * COUNT,
        "overrides": SMALL,
        "evaluate_every": COUNT // 2,
        "samples_every": COUNT,
        "sample_count": 4,
        "seed": 5,
    }
    return TrainConfig.from_mapping(values | changes)


def brightness(generator: Generator) -> float:
    return float(generator.sample(0, np.arange(10)).mean())


def new_fit(wanted: TrainConfig, images: Tensor | None = None, labels: Tensor | None = None) -> ForestFit:
    known_images, known_labels = digits(wanted.image_size)
    images = known_images[:COUNT] if images is None else images
    images = coloured(images) if wanted.channels == 3 else images
    labels = known_labels[:COUNT] if labels is None else labels
    return ForestFit(wanted, images, labels if wanted.num_classes else None, RUNTIME, brightness)


def state_of(fit: ForestFit) -> bytes:
    file = io.BytesIO()
    fit.save(file)
    return file.getvalue()


def resumed(wanted: TrainConfig, state: bytes) -> ForestFit:
    fit = new_fit(wanted)
    fit.load(io.BytesIO(state))
    return fit


def told(events: Iterator[Event]) -> list[tuple[object, ...]]:
    """What of the events has nothing to do with time."""
    found: list[tuple[object, ...]] = []
    for event in events:
        match event:
            case Samples():
                found.append((event.images_seen, event.images.tobytes()))
            case Quality():
                found.append((event.images_seen, event.value, event.best))
            case Step():
                found.append((event.images_seen,))
            case Progress():
                pass
    return found


def test_a_run_left_at_any_event_goes_on_bit_for_bit() -> None:
    wanted = config(num_classes=0, images=2 * COUNT, overrides=SMALL | {"tolerance": 0.5})
    whole = new_fit(wanted)
    events, end = told(whole.run()), state_of(whole)
    assert len([event for event in events if len(event) == 1]) == 6
    assert end == state_of_finished(new_fit(wanted))
    for count in range(1, len(events) + 1):
        left = new_fit(wanted)
        begun = told(islice(left.run(), count))
        later = resumed(wanted, state_of(left))
        assert begun + told(later.run()) == events
        assert state_of(later) == end
        assert later.generator("best").digest == whole.generator("best").digest


def state_of_finished(fit: ForestFit) -> bytes:
    for _ in fit.run():
        pass
    return state_of(fit)


def test_another_seed_grows_another_forest() -> None:
    first, second = new_fit(config()), new_fit(config(seed=6))
    for fit in (first, second):
        next(fit.run())
    assert first.generator().digest != second.generator().digest or state_of(first) != state_of(second)


def test_it_ends_when_no_forest_sees_through_its_rows_any_more() -> None:
    fit = new_fit(config(images=1000 * COUNT))
    steps = [event for event in fit.run() if isinstance(event, Step)]
    assert len(steps) < 60
    assert fit.finished
    assert fit.images_seen == fit.total_images
    assert state_of(resumed(config(images=1000 * COUNT), state_of(fit))) == state_of(fit)


def test_the_budget_is_rounded_up_to_a_round() -> None:
    fit = new_fit(config(images=1))
    assert (fit.images_seen, fit.total_images) == (0, COUNT)
    assert [event.images_seen for event in fit.run() if isinstance(event, Step)] == [100, 200, 300]


def test_images_are_of_their_class() -> None:
    fit = new_fit(config())
    for _ in fit.run():
        pass
    images, labels = digits(8)
    means = torch.stack([images[:COUNT][labels[:COUNT] == digit].double().mean(0) for digit in range(10)])
    made = torch.from_numpy(fit.generator().sample(3, np.arange(300))).permute(0, 3, 1, 2)
    nearest = torch.cdist(made.double().flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == torch.arange(300) % 10).double().mean() > 0.85


@pytest.mark.parametrize(("image_size", "channels", "num_classes"), [(8, 3, 0), (13, 1, 10), (64, 3, 10)])
def test_it_makes_images_of_any_shape(image_size: int, channels: int, num_classes: int) -> None:
    fit = new_fit(config(image_size=image_size, channels=channels, num_classes=num_classes, images=COUNT))
    for _ in fit.run():
        pass
    made = fit.generator().sample(1, np.arange(20))
    assert made.shape == (20, image_size, image_size, channels)
    assert len({image.tobytes() for image in made}) == 20


def test_an_image_depends_on_its_number_alone_whatever_the_batches(tmp_path: Path) -> None:
    fit = new_fit(config(images=COUNT))
    for _ in fit.run():
        pass
    generator = fit.generator()
    whole = generator.sample(7, np.arange(50))
    save_model(tmp_path, generator, Metadata(preset="forest", images_seen=COUNT, seed=5))
    for batch_size in (1, 7, 64):
        loaded = load_model(tmp_path, RUNTIME, batch_size)
        assert isinstance(loaded, Generator)
        assert loaded.digest == generator.digest
        shuffled = np.random.default_rng(0).permutation(50)
        assert np.array_equal(loaded.sample(7, shuffled), whole[shuffled])
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "weights.safetensors"}


def test_a_state_of_other_images_or_options_is_refused() -> None:
    state = state_of(new_fit(config()))
    with pytest.raises(CorruptCheckpoint, match="other images"):
        new_fit(config(), images=digits(8)[0][1 : COUNT + 1]).load(io.BytesIO(state))
    with pytest.raises(CorruptCheckpoint, match="another configuration: overrides"):
        new_fit(config(overrides=SMALL | {"trees": 4})).load(io.BytesIO(state))


def test_a_class_without_images_is_named() -> None:
    images, labels = digits(8)
    with pytest.raises(DataError, match="class 3 has no training images"):
        new_fit(config(), images[labels != 3], labels[labels != 3])


def test_components_that_would_not_fit_are_refused_before_any_work() -> None:
    with pytest.raises(ConfigError, match=r"take 3\.8 GiB for 80 groups .* 1 GiB are allowed: set fewer components"):
        config(image_size=256, channels=3, overrides={"components": 64, "parts": 8})


def test_small_parts_are_given_up_to_their_neighbours() -> None:
    points = torch.tensor([[0.0], [0.1], [0.2], [10.0], [10.1], [10.2], [12.0]]).double()
    assert [len(part) for part in parted(points, 7, 1)] == [1] * 7
    assert sorted(part.tolist() for part in parted(points, 3, 2)) == [[0, 1, 2], [3, 4, 5, 6]]
    assert [part.tolist() for part in parted(points, 3, 5)] == [list(range(7))]


def test_only_gradients_train_the_others_and_never_a_forest() -> None:
    images, labels = digits(8)
    assert isinstance(new_run(config(), images, labels, RUNTIME), ForestFit)
    with pytest.raises(ConfigError, match="'forest' is not trained by gradients"):
        Trainer(config(), images, labels, RUNTIME)
    with pytest.raises(UnknownPreset, match="did you mean 'forest'"):
        config(preset="forst")
    with pytest.raises(ConfigError, match="no option 'width'"):
        config(overrides={"width": 3})


def test_it_is_one_line_in_a_shell() -> None:
    data = im.load_dataset("digits", image_size=8)
    forest = im.train("forest", data, images=1, components=6, trees=2, parts=1)
    assert isinstance(forest, Generator)
    assert forest.num_classes == 10
    assert im.sample(forest, count=5).shape == (5, 8, 8, 1)
