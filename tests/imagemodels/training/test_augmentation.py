import pytest
import torch

from imagemodels.training.augmentation import cut_out, recoloured, translated


def picture() -> torch.Tensor:
    return torch.arange(1.0, 65.0).reshape(1, 1, 8, 8)


def test_the_middle_of_the_range_leaves_the_image_alone() -> None:
    assert torch.equal(translated(picture(), torch.full((1, 2), 0.5), 0.25), picture())


def test_the_ends_of_the_range_shift_by_the_share_and_fill_with_black() -> None:
    moved = translated(picture(), torch.tensor([[0.0, 0.5]]), 0.25)[0, 0]
    assert torch.equal(moved[2:], picture()[0, 0, :-2])
    assert (moved[:2] == -1).all()
    moved = translated(picture(), torch.tensor([[0.5, 0.999]]), 0.25)[0, 0]
    assert torch.equal(moved[:, :-2], picture()[0, 0, :, 2:])
    assert (moved[:, -2:] == -1).all()


def test_the_gradient_passes_to_every_pixel_that_is_still_seen() -> None:
    image = picture().requires_grad_()
    (gradient,) = torch.autograd.grad(translated(image, torch.tensor([[0.0, 0.5]]), 0.25).sum(), image)
    assert gradient[0, 0, :6].eq(1).all()
    assert gradient[0, 0, 6:].eq(0).all()


def test_the_middle_of_the_range_keeps_the_colours() -> None:
    image = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(recoloured(image, torch.full((2, 3), 0.5)), image)


def test_brightness_moves_saturation_fades_and_contrast_shrinks() -> None:
    image = torch.rand(1, 3, 4, 4)
    brighter = recoloured(image, torch.tensor([[0.75, 0.5, 0.5]]))
    torch.testing.assert_close(brighter, image + 0.25)
    faded = recoloured(image, torch.tensor([[0.5, 0.0, 0.5]]))
    torch.testing.assert_close(faded, image.mean(1, keepdim=True).expand_as(image))
    flatter = recoloured(image, torch.tensor([[0.5, 0.5, 0.0]]))
    torch.testing.assert_close(flatter, image.mean() + 0.5 * (image - image.mean()))


def test_each_image_has_colours_of_its_own() -> None:
    images = torch.rand(1, 3, 4, 4).repeat(2, 1, 1, 1)
    one, other = recoloured(images, torch.tensor([[0.2, 0.9, 0.1], [0.8, 0.1, 0.9]]))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(("uniform", "rows"), [(0.0, [0, 1]), (0.5, [2, 3, 4, 5]), (0.999, [6, 7])])
def test_a_hole_has_its_side_and_may_lie_half_outside(uniform: float, rows: list[int]) -> None:
    cut = cut_out(picture(), torch.tensor([[uniform, 0.5]]), 0.5)[0, 0]
    assert (cut == 0).any(1).nonzero().flatten().tolist() == rows
    assert (cut == 0).any(0).nonzero().flatten().tolist() == [2, 3, 4, 5]
    assert torch.equal(cut[cut != 0], picture()[0, 0][cut != 0])


def test_the_gradient_passes_to_what_is_left() -> None:
    image = picture().requires_grad_()
    cut = cut_out(image, torch.tensor([[0.5, 0.5]]), 0.5)
    (gradient,) = torch.autograd.grad(cut.sum(), image)
    assert torch.equal(gradient == 0, cut == 0)
