"""Restored images: of any size, known pixels as they were, and judged against hand values."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from imagemodels.errors import DataError
from imagemodels.evaluation.restorations import RestorationReport, damaged_images, fidelity, judge_restorations
from imagemodels.networks.patch_judge import PatchJudge
from imagemodels.networks.restoration_specs import DegradationName, DegradationSpec, PatchJudgeSpec, RestorerSpec
from imagemodels.networks.unet import UNet
from imagemodels.objectives import l1_reconstruction, per_value
from imagemodels.restoration import Restorer
from imagemodels.runtime import Runtime

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)


def spec_of(name: DegradationName, **changes: Any) -> RestorerSpec:
    values: dict[str, Any] = {"image_size": 8, "channels": 1, "width": 4, "halvings": 2, "blocks": 1}
    values |= {"skips": True, "residual": True, "degradation": DegradationSpec(name=name)}
    return RestorerSpec(**values | changes)


def restorer(name: DegradationName = "noise", **changes: Any) -> Restorer:
    torch.manual_seed(4)
    return Restorer(UNet(spec_of(name, **changes)), Runtime(threads=1), batch_size=2)


@pytest.mark.parametrize("changes", [{}, {"skips": False}, {"residual": False}, {"halvings": 1, "channels": 3}])
@pytest.mark.parametrize("size", [8, 13])
def test_gradients_reach_every_weight_of_the_network(changes: dict[str, Any], size: int) -> None:
    network = UNet(spec_of("mask", image_size=size, **changes))
    channels = network.spec.channels
    made = network(torch.randn(2, channels, size, size), torch.rand(2, 1, size, size) < 0.5)
    assert made.shape == (2, channels, size, size)
    made.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


def test_a_network_without_weights_gives_back_what_it_is_to_add_to() -> None:
    network = UNet(spec_of("noise"))
    for weight in network.parameters():
        torch.nn.init.zeros_(weight)
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(network(images), images)


def test_each_patch_is_judged_beside_what_is_given() -> None:
    judge = PatchJudge(PatchJudgeSpec(channels=1, width=4, halvings=2, spectral=True)).eval()
    given, made = torch.randn(2, 1, 32, 32), torch.randn(2, 1, 32, 32)
    logits = judge(given, made)
    assert logits.shape == (2, 1, 8, 8)
    other = given.clone()
    other[:, :, :4, :4] += 1.0
    changed = (judge(other, made) != logits).any(0)[0]
    assert changed[0, 0]
    assert not changed[5:, 5:].any()


def test_the_weight_of_a_reconstruction_is_that_of_its_mean() -> None:
    images, made = torch.tensor([[[[0.0, 1.0]]], [[[0.5, -1.0]]]]), torch.tensor([[[[0.5, 1.0]]], [[[0.5, 1.0]]]])
    assert float(per_value(l1_reconstruction(images, made), images)) == pytest.approx((0.5 + 0 + 0 + 2.0) / 4)


def test_a_batch_is_the_same_however_it_is_asked_for() -> None:
    model = restorer()
    whole = model.restore(IMAGES)
    assert whole.dtype == np.uint8
    assert all(np.array_equal(model.restore(IMAGES[n : n + 1])[0], whole[n]) for n in range(3))


def test_known_pixels_stay_in_every_tile() -> None:
    images = np.random.default_rng(2).integers(0, 256, (2, 19, 11, 1), dtype=np.uint8)
    holes = np.random.default_rng(3).random((2, 19, 11)) < 0.3
    model = restorer("mask")
    restored = model.restore(images, holes)
    assert np.array_equal(restored[~holes], images[~holes])
    assert (restored[holes] != images[holes]).mean() > 0.9
    hidden = np.where(holes[..., None], 255 - images, images)  # what stands in a hole is not looked at
    assert np.array_equal(model.restore(hidden, holes), restored)


def test_large_images_are_restored_like_their_tiles() -> None:
    model = restorer()
    for weight in model.network.parameters():
        torch.nn.init.zeros_(weight)
    images = np.random.default_rng(2).integers(0, 256, (2, 21, 5, 1), dtype=np.uint8)
    assert np.array_equal(model.restore(images), images)  # nothing is added, and blending loses nothing
    assert model.network.to_pixels.bias is not None
    torch.nn.init.constant_(model.network.to_pixels.bias, 0.25)
    brighter = model.restore(images).astype(int)
    assert np.array_equal(brighter, np.rint(np.clip(images + 0.25 * 127.5, 0, 255)).astype(int))


@pytest.mark.parametrize(
    ("name", "images", "holes", "message"),
    [
        ("noise", IMAGES.astype(np.float32), None, "restores uint8 images"),
        ("noise", IMAGES.repeat(3, 3), None, r"\(N, H, W, 1\); found uint8 of shape \(3, 8, 8, 3\)"),
        ("noise", IMAGES, np.zeros((3, 8, 8), bool), "trained on noise, fills no holes"),
        ("mask", IMAGES, None, "trained on mask, fills holes, and is told where they are"),
        ("mask", IMAGES, np.zeros((3, 8, 7), bool), "holes are bool of shape"),
    ],
)
def test_what_does_not_fit_is_refused(name: DegradationName, images: Any, holes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        restorer(name).restore(images, holes)


def test_a_report_has_the_figures_of_the_damaged_images_too() -> None:
    pairs = damaged_images(IMAGES, DegradationSpec(name="noise"), seed=5)
    again = damaged_images(IMAGES[1:], DegradationSpec(name="noise"), 5, np.arange(1, 3))
    assert np.array_equal(pairs.images[1:], again.images)
    model = restorer()
    report = judge_restorations(model, pairs, held_out=True)
    assert report.damaged == fidelity(pairs.images, IMAGES)
    assert report.restored == fidelity(model.restore(pairs.images), IMAGES)
    assert RestorationReport.from_json(report.to_json()) == report
    error = np.square(pairs.images.astype(float) - IMAGES).mean((1, 2, 3))
    assert report.damaged.psnr == pytest.approx(float(np.mean(10 * np.log10(255**2 / error))))
    assert fidelity(IMAGES, IMAGES).psnr == 100.0
    assert replace(pairs, holes=None).first(2).truth.shape == (2, 8, 8, 1)
