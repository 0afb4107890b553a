import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from imagemodels.errors import DataError
from imagemodels.evaluation.fidelity import gaussian_window, psnr, ssim

Pair = tuple[Tensor, Tensor]


@pytest.fixture(params=[(1, 8, 8), (1, 11, 13), (3, 20, 17)], ids=["8", "11x13", "20x17 RGB"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Three smooth images with gradients, and noisy copies."""
    channels, height, width = request.param
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    clean = torch.stack([(7 * rows + (3 + n) * columns) % 256 for n in range(3 * channels)])
    clean = clean.view(3, channels, height, width).to(torch.uint8)
    noise = torch.randint(-30, 31, clean.shape)
    return (clean.long() + noise).clamp(0, 255).to(torch.uint8), clean


def _written_out(one: np.ndarray, other: np.ndarray) -> float:
    """The mean over all windows of equation 13, with moments about the mean, a window at a time."""
    size = min(11, (min(one.shape) - 1) // 2 * 2 + 1)
    line = np.array([math.exp(-((place - size // 2) ** 2) / (2 * 1.5**2)) for place in range(size)])
    weights = np.outer(line, line) / line.sum() ** 2
    found = []
    for top in range(one.shape[0] - size + 1):
        for left in range(one.shape[1] - size + 1):
            x = one[top : top + size, left : left + size].astype(float)
            y = other[top : top + size, left : left + size].astype(float)
            mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
            variance_x, variance_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
            covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
            bright = (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
            found.append(bright * (2 * covariance + 58.5225) / (variance_x + variance_y + 58.5225))
    return float(np.mean(found))


def test_similarity_is_the_equation_written_out_window_by_window(pair: Pair) -> None:
    noisy, clean = pair
    expected = [
        np.mean([_written_out(noisy[n, c].numpy(), clean[n, c].numpy()) for c in range(clean.shape[1])])
        for n in range(3)
    ]
    assert ssim(noisy, clean).tolist() == pytest.approx(expected, abs=1e-9)


def test_both_measures_agree_with_torchmetrics() -> None:
    one, other = (torch.randint(0, 256, (4, 3, 24, 24), dtype=torch.uint8) for _ in range(2))
    other = (one.long() * 3 + other.long()).div(4).to(torch.uint8)
    ours = ssim(one, other)
    _means, places = structural_similarity_index_measure(
        one.double(), other.double(), data_range=255.0, reduction="none", return_full_image=True
    )
    # torchmetrics also takes windows that reach over the border, into a mirror image.
    torch.testing.assert_close(ours, places[:, :, 5:-5, 5:-5].mean((1, 2, 3)), rtol=0, atol=1e-6)
    ratios = [
        peak_signal_noise_ratio(a.double(), b.double(), data_range=255.0) for a, b in zip(one, other, strict=True)
    ]
    torch.testing.assert_close(psnr(one, other), torch.stack(ratios), rtol=0, atol=1e-5)


def test_the_noise_ratio_of_known_errors() -> None:
    clean = torch.full((3, 1, 8, 8), 100, dtype=torch.uint8)
    other = clean.clone()
    other[1] += 5
    other[2, 0, 0, 0] = 255  # one pixel in 64, off by 155
    assert psnr(clean, other).tolist() == pytest.approx(
        [math.inf, 20 * math.log10(255 / 5), 10 * math.log10(255**2 * 64 / 155**2)]
    )


def test_equal_images_are_alike_and_inverted_ones_are_not(pair: Pair) -> None:
    _noisy, clean = pair
    assert ssim(clean, clean).tolist() == pytest.approx([1.0] * 3, abs=1e-12)
    assert ssim(clean, 255 - clean).max() < 0.5


def test_structure_counts_where_the_noise_ratio_sees_no_difference() -> None:
    clean = torch.randint(64, 192, (1, 1, 32, 32), dtype=torch.uint8)
    brighter = clean + 16
    noisy = (clean.long() + 16 * (torch.randint(0, 2, clean.shape) * 2 - 1)).to(torch.uint8)
    assert psnr(brighter, clean).item() == pytest.approx(psnr(noisy, clean).item())
    assert ssim(brighter, clean).item() > ssim(noisy, clean).item() + 0.01


def test_images_are_measured_one_by_one_however_many_there_are(pair: Pair) -> None:
    noisy, clean = pair
    many = torch.cat([noisy] * 50), torch.cat([clean] * 50)
    torch.testing.assert_close(ssim(*many), ssim(noisy, clean).repeat(50), rtol=0, atol=1e-12)
    torch.testing.assert_close(psnr(*many), psnr(noisy, clean).repeat(50), rtol=0, atol=1e-12)


def test_the_window_is_symmetric_and_sums_to_one() -> None:
    window = gaussian_window(11)
    assert window.sum().item() == pytest.approx(1.0, abs=1e-15)
    torch.testing.assert_close(window, window.flip(0))
    assert (window[4] / window[5]).item() == pytest.approx(math.exp(-1 / 4.5))


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "images are uint8"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, 8, 8, dtype=torch.uint8), "references are uint8"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, 1, 8, 9, dtype=torch.uint8), "different shapes"),
    ],
)
def test_what_cannot_be_compared_is_refused(measure: object, one: Tensor, other: Tensor, message: str) -> None:
    assert callable(measure)
    with pytest.raises(DataError, match=message):
        measure(one, other)
