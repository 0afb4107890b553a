import pytest
import torch
from torch.nn.functional import interpolate

from imagemodels.training.augmentation import recoloured
from imagemodels.training.variation import cropped, flipped, jittered
from tests.imagemodels.training.test_trainer import SMALL, finished_state, new_trainer, resumed, small_config, state_of

CHANGES: dict[str, object] = {"horizontal_flips": True, "vertical_flips": True, "crop": 0.3, "colour_jitter": 0.5}


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8) * 2 - 1


@pytest.mark.parametrize("dimension", [2, 3])
def test_small_numbers_mirror_and_large_ones_do_not(dimension: int) -> None:
    images = pictures()
    found = flipped(images, torch.tensor([[0.49], [0.5]]), dimension)
    assert torch.equal(found[0], images[0].flip(dimension - 1))
    assert torch.equal(found[1], images[1])


def test_a_crop_of_the_whole_side_changes_nothing() -> None:
    images = pictures()
    torch.testing.assert_close(cropped(images, torch.tensor([[0.0, 0.9, 0.1]] * 2), 0.8), images)


def test_a_crop_is_a_corner_enlarged_pixel_by_pixel_between_its_borders() -> None:
    images = pictures()
    first, last = cropped(images, torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), 0.5)
    expected = interpolate(images[:1, :, :4, :4], scale_factor=2.0, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(first[:, :7, :7], expected[:, :7, :7])  # its inner edges lie next to further pixels
    expected = interpolate(images[1:, :, 4:, 4:], scale_factor=2.0, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(last[:, 1:, 1:], expected[:, 1:, 1:])


def test_the_row_comes_before_the_column() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[:, :, :, 4:] = 1.0
    right = cropped(images, torch.tensor([[1.0, 0.0, 1.0]]), 0.5)
    assert right[..., 1:].eq(1).all()
    left = cropped(images, torch.tensor([[1.0, 1.0, 0.0]]), 0.5)
    assert left[..., :7].eq(0).all()


def test_colours_move_by_their_share_and_stay_within_the_range() -> None:
    images = pictures()
    brighter = torch.tensor([[1.0, 0.5, 0.5]] * 2)
    torch.testing.assert_close(jittered(images, brighter, 0.5), (images + 0.25).clamp(-1, 1))
    uniforms = torch.rand(2, 3)
    torch.testing.assert_close(jittered(images, uniforms, 1.0), recoloured(images, uniforms).clamp(-1, 1))
    assert jittered(images * 10, uniforms, 1.0).abs().max() <= 1


@pytest.mark.parametrize("name", CHANGES)
def test_each_option_changes_the_images_anew_in_every_step_and_for_every_image(name: str) -> None:
    config = small_config("vae", channels=3, image_size=9, overrides=SMALL["vae"] | {name: CHANGES[name]})
    plain = new_trainer(small_config("vae", channels=3, image_size=9)).stream
    changed = new_trainer(config).stream
    gaps = [(changed.batch(step).images - plain.batch(step).images).abs().amax((1, 2, 3)) for step in range(4)]
    assert all(float((gap > 0.01).float().mean()) > 0.1 for gap in gaps)
    assert len({tuple((gap > 0.01).tolist()) if "flips" in name else float(gap.sum()) for gap in gaps}) > 1
    assert changed.batch(0).images.abs().max() <= 1
    assert changed.batch(0).images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("preset", ["cnn", "sngan"])
def test_a_run_on_changed_images_is_resumed_bit_for_bit(preset: str) -> None:
    config = small_config(preset, 4, overrides=SMALL[preset] | CHANGES)
    expected, _events = finished_state(config)
    first = new_trainer(config)
    run = first.run()
    for _ in range(4):
        next(run)
    second = resumed(config, state_of(first))
    for _ in second.run():
        pass
    assert state_of(second) == expected
