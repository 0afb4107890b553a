import numpy as np
import pytest

import imagemodels as im
from imagemodels.errors import ConfigError
from imagemodels.training.events import Event, Progress


def test_a_few_lines_train_a_model_and_sample_it() -> None:
    events: list[Event] = []
    data = im.load_dataset("digits", image_size=16)
    model = im.train("vae", data, images=2_000, seed=1, width=8, on_event=events.append)
    pictures = im.sample(model, count=64, seed=2)
    assert pictures.shape == (64, 16, 16, 1)
    assert pictures.dtype == np.uint8
    assert pictures.std() > 10
    assert isinstance(model, im.Generator)
    assert model.num_classes == 10
    assert any(isinstance(event, Progress) for event in events)


def test_a_model_can_ignore_the_classes() -> None:
    data = im.load_dataset("digits", image_size=8)
    model = im.train("vae", data, images=100, conditional=False, width=4)
    assert isinstance(model, im.Generator)
    assert model.num_classes == 0


def test_a_classifier_is_trained_the_same_way_but_makes_no_images() -> None:
    data = im.load_dataset("digits", image_size=8)
    model = im.train("cnn", data, images=100, width=4)
    assert isinstance(model, im.Classifier)
    with pytest.raises(ConfigError, match="makes no images"):
        im.sample(model, count=1)
