import torch

from imagemodels.pixels import to_float, to_uint8

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def test_all_256_levels_come_back() -> None:
    floats = to_float(LEVELS)
    assert floats.dtype == torch.float32
    assert floats.min() == -1
    assert floats.max() == 1
    assert torch.equal(to_uint8(floats), LEVELS)


def test_values_are_rounded_and_clamped() -> None:
    values = torch.tensor([-3.0, -1.0, -0.999, 0.0, 0.999, 1.0, 3.0]).reshape(1, 1, 1, 7)
    assert to_uint8(values).flatten().tolist() == [0, 0, 0, 128, 255, 255, 255]


def test_bf16_is_converted_before_it_is_scaled() -> None:
    half = torch.tensor([0.25], dtype=torch.bfloat16).reshape(1, 1, 1, 1)
    assert to_uint8(half).item() == 159


def test_the_argument_is_left_alone() -> None:
    floats = to_float(LEVELS)
    before = floats.clone()
    to_uint8(floats)
    assert torch.equal(floats, before)
