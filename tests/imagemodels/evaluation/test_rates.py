from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from imagemodels.evaluation.rates import REFERENCES, measured_rate, nearest_in_size, reference_rates
from tests.imagemodels.pictures import coloured, digits


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "RGB"])
def originals(request: pytest.FixtureRequest) -> np.ndarray:
    """Eight digits of 24 pixels, (8, 24, 24, C)."""
    images, _labels = digits(24)
    chosen = images[:8] if request.param == 1 else coloured(images[:8])
    return np.ascontiguousarray(chosen.permute(0, 2, 3, 1).numpy())


def test_the_rate_is_all_bits_by_all_pixels(originals: np.ndarray) -> None:
    rate = measured_rate("mine", [10] * 7 + [20], np.where(originals > 100, originals, 0), originals)
    assert rate.bits_per_pixel == 8 * 90 / (8 * 24 * 24)
    assert (rate.n, rate.name) == (8, "mine")
    assert rate.psnr is not None
    assert 0 < rate.ssim < 1


def test_images_without_an_error_have_no_finite_ratio_and_one_of_many_counts_as_the_highest(
    originals: np.ndarray,
) -> None:
    assert measured_rate("same", [1] * 8, originals, originals).psnr is None
    changed = originals.copy()
    changed[0] ^= 255
    rate = measured_rate("seven", [1] * 8, changed, originals)
    error = (changed[0].astype(float) - originals[0]) ** 2
    assert rate.psnr == pytest.approx((7 * 100 + 10 * np.log10(255**2 / error.mean())) / 8)


def test_references_are_the_files_that_pillow_writes(originals: np.ndarray) -> None:
    shares: list[float] = []
    found = {rate.name: (rate, decoded) for rate, decoded in reference_rates(originals, shares.append)}
    assert list(found) == [reference.name for reference in REFERENCES]
    assert shares == sorted(shares)
    assert (len(set(shares)), shares[-1]) == (len(REFERENCES) * len(originals) + 1, 1.0), "each image is told of"
    for name in ("PNG", "WebP lossless"):
        assert np.array_equal(found[name][1], originals)
    content = BytesIO()
    squeezed = originals[3, :, :, 0] if originals.shape[-1] == 1 else originals[3]
    Image.fromarray(squeezed).save(content, "WEBP", quality=30, method=6)
    with Image.open(content) as image:
        expected = np.asarray(image.convert("L" if originals.shape[-1] == 1 else "RGB")).reshape(originals[3].shape)
    assert np.array_equal(found["WebP 30"][1][3], expected)
    rates = [found[f"WebP {quality}"][0] for quality in (0, 30, 90)]
    assert rates[0].bits_per_pixel < rates[1].bits_per_pixel < rates[2].bits_per_pixel
    assert rates[0].ssim < rates[1].ssim < rates[2].ssim


def test_the_nearest_in_size_is_so_as_a_ratio(originals: np.ndarray) -> None:
    own = measured_rate("own", [100] * 8, originals, originals)
    others = [(measured_rate(str(size), [size] * 8, originals, originals), originals) for size in (55, 180, 300)]
    assert nearest_in_size(own, others)[0].name == "180"  # 1.8 times as much; 55 is 1.82 times as little
