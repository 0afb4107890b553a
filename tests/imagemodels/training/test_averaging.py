import pytest
import torch
from torch import nn

from imagemodels.training.averaging import AveragedWeights


def averaged(half_life_images: int) -> tuple[nn.BatchNorm2d, AveragedWeights]:
    original = nn.BatchNorm2d(1)
    return original, AveragedWeights(original, half_life_images)


def copy_in(average: AveragedWeights) -> nn.BatchNorm2d:
    assert isinstance(average.network, nn.BatchNorm2d)
    return average.network


def test_half_of_a_change_is_left_after_one_half_life_whatever_the_batch_size() -> None:
    for batch_size in (10, 100, 500):
        original, average = averaged(1000)
        nn.init.constant_(original.weight, 3.0)
        for _ in range(1000 // batch_size):
            average.update(10**6, batch_size)
        assert copy_in(average).weight.item() == pytest.approx(2.0, abs=1e-4)


def test_the_half_life_is_short_at_the_start() -> None:
    original, average = averaged(10**6)
    nn.init.constant_(original.weight, 3.0)
    average.update(64, 64)
    assert copy_in(average).weight.item() == pytest.approx(3.0, abs=1e-4)


def test_a_half_life_of_zero_follows_at_once() -> None:
    original, average = averaged(0)
    nn.init.constant_(original.weight, 3.0)
    average.update(10**6, 2)
    assert copy_in(average).weight.item() == 3.0


def test_batch_statistics_are_averaged_and_counters_copied() -> None:
    original, average = averaged(100)
    original(torch.randn(8, 1, 4, 4) + 5)
    average.update(10**6, 100)
    averaged_mean, mean = copy_in(average).running_mean, original.running_mean
    assert averaged_mean is not None
    assert mean is not None
    assert averaged_mean.item() == pytest.approx(mean.item() / 2)
    assert average.network.state_dict()["num_batches_tracked"] == 1


def test_the_average_is_for_inference() -> None:
    _, average = averaged(1)
    assert not average.network.training
    assert not any(weight.requires_grad for weight in average.network.parameters())
