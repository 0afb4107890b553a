import os

import pytest
import torch

from imagemodels.errors import ConfigError
from imagemodels.runtime import Runtime, bf16_supported


def test_threads_and_determinism_hold_inside_and_are_restored_after_an_error() -> None:
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    def fail_inside() -> None:
        with Runtime(threads=threads + 1).activated():
            assert torch.get_num_threads() == threads + 1
            assert torch.are_deterministic_algorithms_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_bf16_computes_in_bf16_and_fp32_does_not() -> None:
    layer = torch.nn.Linear(2, 2)
    with Runtime(precision="bf16").autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with Runtime(precision="fp32").autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.float32


def test_auto_follows_the_hardware() -> None:
    expected = "bf16" if bf16_supported("cpu") else "fp32"
    assert Runtime(precision="auto").resolved_precision == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "fp23"}, r"'fp23' does not exist \(did you mean 'fp32'\?\)"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"device": "gpu"}, "use cpu, cuda or cuda:N"),
        ({"device": "meta"}, "not supported"),
        ({"device": f"cuda:{torch.cuda.device_count()}"}, "this process sees"),
    ],
)
def test_what_is_not_there_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Runtime(**arguments)  # type: ignore[arg-type]


def test_convolution_weights_are_placed_in_channels_last_memory() -> None:
    layer = torch.nn.Conv2d(4, 4, 3)
    Runtime().place(layer)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_products_are_deterministic_and_the_environment_is_left_alone() -> None:
    before = dict(os.environ)
    with Runtime("cuda").activated():
        torch.ones(2, 2, device="cuda") @ torch.ones(2, 2, device="cuda")
    assert dict(os.environ) == before
