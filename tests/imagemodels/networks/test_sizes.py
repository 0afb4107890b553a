import pytest

from imagemodels.networks.sizes import SizePlan


@pytest.mark.parametrize("image_size", range(8, 65))
def test_every_size_is_covered_by_doubling_a_map_of_four_to_seven_pixels(image_size: int) -> None:
    plan = SizePlan.of(image_size)
    assert 4 <= plan.base_side <= 7
    assert image_size <= plan.padded_side < image_size + 2**plan.stages
    assert sum(plan.margins) + image_size == plan.padded_side
    assert len(plan.widths(8)) == plan.stages


def test_widths_double_and_stop_at_eight_times_the_first() -> None:
    assert SizePlan.of(64).widths(64) == (64, 128, 256, 512)
    assert SizePlan(256, 4, 6).widths(10) == (10, 20, 40, 80, 80, 80)
