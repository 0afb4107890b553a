"""Damages against hand values, and against other programs that make them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from imagemodels.degradations import (
    DEGRADATIONS,
    Draws,
    boxes,
    degraded,
    enlarged,
    masked,
    noisy,
    numbered_draws,
    strokes,
)
from imagemodels.jpeg import LUMINANCE, cosines, quantisation
from imagemodels.networks.restoration_specs import DegradationName, DegradationSpec
from imagemodels.options import DEGRADATION_NAMES
from imagemodels.pixels import to_float, to_uint8
from tests.imagemodels.pictures import coloured, digits

NAMES: list[DegradationName] = ["noise", "mask", "downsample", "blur", "jpeg"]


def draws(seed: int = 3, count: int = 6) -> Draws:
    return numbered_draws(seed, np.arange(count), torch.device("cpu"))


def images(size: int = 17, count: int = 6) -> Tensor:
    return to_float(coloured(digits(size)[0][:count]))


def fixed(*values: float) -> Draws:
    """The same numbers for one image, whatever they are for."""
    numbers = torch.tensor([values])
    return Draws(normals=lambda _size, _purpose: numbers, uniforms=lambda _size, _purpose: numbers)


def test_every_name_that_an_option_may_have_has_its_function_but_the_one_that_comes_with_the_data() -> None:
    assert [*DEGRADATIONS, "given"] == list(DEGRADATION_NAMES)
    with pytest.raises(KeyError):
        degraded(images(), DegradationSpec(name="given"), draws())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [8, 17])
def test_damage_is_of_levels_that_a_file_holds_and_of_the_same_shape(name: DegradationName, size: int) -> None:
    whole = images(size)
    found = degraded(whole, DegradationSpec(name=name), draws())
    assert found.images.shape == whole.shape
    assert torch.equal(to_float(to_uint8(found.images)), found.images)
    assert not torch.equal(found.images, whole)
    assert (found.holes is not None) == (name == "mask")


@pytest.mark.parametrize("name", ["noise", "mask"])
def test_what_is_drawn_for_an_image_depends_on_seed_and_number_alone(name: DegradationName) -> None:
    spec = DegradationSpec(name=name, hole_shape="irregular")
    whole = images()
    every = degraded(whole, spec, draws()).images
    some = numbered_draws(3, np.array([4, 1]), torch.device("cpu"))
    assert torch.equal(degraded(whole[[4, 1]], spec, some).images, every[[4, 1]])
    assert not torch.equal(degraded(whole, spec, draws(seed=4)).images, every)


def test_noise_has_the_deviation_in_units_of_the_range() -> None:
    gray = torch.zeros(6, 1, 64, 64)
    added = noisy(gray, DegradationSpec(name="noise", noise_sigma=0.1), draws()).images
    assert float(added.std()) == pytest.approx(0.1 * 2.0, rel=0.02)  # from -1 to 1
    one = noisy(torch.tensor([[[[-1.0, 0.5]]]]), DegradationSpec(name="noise", noise_sigma=0.25), fixed(1.0, -2.0))
    assert one.images.flatten().tolist() == [-0.5, -0.5]


def test_a_box_lies_where_its_numbers_put_it() -> None:
    spec = DegradationSpec(name="mask", hole_count=1, hole_share=0.5)
    # Of 8 x 16 pixels: 0.5 * (0.5 + 0.5 * 0.5) = 0.375 high, so 3 rows; 0.25 wide, so 4 columns.
    holes = boxes((8, 16), spec, fixed(0.5, 0.0, 0.0, 0.999))
    assert set(holes.nonzero()[:, 2].tolist()) == {0, 1, 2}
    assert set(holes.nonzero()[:, 3].tolist()) == {12, 13, 14, 15}


def test_a_stroke_is_as_far_from_its_line_as_the_brush_reaches() -> None:
    spec = DegradationSpec(name="mask", hole_shape="irregular", hole_count=1, hole_share=0.5)
    # From row 16, column 0 on to the right, without turning, at full length: 16 pixels long, 1.6 around.
    numbers = (0.5, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5)
    (holes,) = strokes((32, 32), spec, fixed(*numbers))[0]
    assert holes.any(1).nonzero().flatten().tolist() == [14, 15, 16, 17]
    assert holes[15].nonzero().flatten().tolist() == list(range(18))  # 16 pixels, and the round end


def test_holes_are_gray_and_all_else_is_as_it_was() -> None:
    whole = images()
    found = masked(whole, DegradationSpec(name="mask"), draws())
    assert found.holes is not None
    holes = found.holes.expand_as(whole)
    assert torch.equal(found.images[~holes], whole[~holes])
    assert not found.images[holes].any()
    assert 0.05 < float(holes.float().mean()) < 0.5


def test_low_resolution_is_the_mean_of_squares() -> None:
    whole = torch.tensor([[[[-1.0, 0.0, 1.0, 1.0], [0.0, -1.0, 1.0, 1.0]]]]).repeat(1, 1, 2, 1)
    small = degraded(whole, DegradationSpec(name="downsample", downsample_factor=4), fixed()).images
    assert float(small.std()) == 0.0  # one square is left of it, of 64 levels above the middle
    assert int(to_uint8(small)[0, 0, 0, 0]) == round((0.25 + 1.0) * 127.5)


def test_small_images_are_enlarged_as_those_in_training_were() -> None:
    spec = DegradationSpec(name="downsample", downsample_factor=2)
    whole = images(16)
    lost = degraded(whole, spec, fixed()).images
    small = to_uint8(torch.nn.functional.avg_pool2d(whole, 2)).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(enlarged(small, spec), to_uint8(lost).permute(0, 2, 3, 1).numpy())
    assert enlarged(small, replace(spec, name="blur")) is small


def test_blur_is_that_of_scipy() -> None:
    from scipy.ndimage import gaussian_filter

    whole = images()
    found = DEGRADATIONS["blur"](whole, DegradationSpec(name="blur", blur_sigma=1.5), fixed()).images
    expected = gaussian_filter(whole.double().numpy(), (0, 0, 1.5, 1.5), mode="nearest", radius=(0, 0, 5, 5))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("quality", [5, 30, 80])
def test_jpeg_loses_what_the_library_of_others_loses(quality: int) -> None:
    whole = to_uint8(images(24, 2))
    found = to_uint8(
        DEGRADATIONS["jpeg"](to_float(whole), DegradationSpec(name="jpeg", jpeg_quality=quality), fixed()).images
    )
    for one, other in zip(whole, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(one.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality, subsampling=0)
        theirs = np.asarray(Image.open(file)).astype(int)
        before, ours = (pixels.permute(1, 2, 0).numpy().astype(int) for pixels in (one, other))
        # They compute in whole numbers, which sends a frequency half-way between two steps to the other one.
        assert np.abs(theirs - ours).mean() < 0.5 * np.abs(theirs - before).mean()
    assert quantisation(LUMINANCE, 50).flatten().tolist() == list(LUMINANCE)


def test_the_cosine_transform_keeps_lengths() -> None:
    torch.testing.assert_close(cosines() @ cosines().t(), torch.eye(8))
