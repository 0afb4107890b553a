import torch

from imagemodels.training.augmentation import translated


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
