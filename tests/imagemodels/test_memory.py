"""Out of memory for real: a tensor is asked for that no address space holds."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from imagemodels.errors import NonFiniteLoss, OutOfMemory
from imagemodels.memory import in_batches_that_fit, is_out_of_memory

CPU = torch.device("cpu")
FAR_TOO_MUCH = 2**50  # bytes


def raised_by(act: Callable[[], object]) -> BaseException:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        act()
    return caught.value


def needs(fitting: int) -> Callable[[int], int]:
    """Work that the memory holds for batches of `fitting` images and fewer."""

    def work(size: int) -> int:
        if size > fitting:
            torch.empty(FAR_TOO_MUCH, dtype=torch.uint8)
        return 10 * size

    return work


def test_every_allocator_is_understood() -> None:
    assert is_out_of_memory(raised_by(lambda: torch.empty(FAR_TOO_MUCH, dtype=torch.uint8)))
    assert is_out_of_memory(raised_by(lambda: np.empty(FAR_TOO_MUCH, dtype=np.uint8)))
    assert is_out_of_memory(raised_by(lambda: bytearray(FAR_TOO_MUCH)))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"))
    assert not is_out_of_memory(raised_by(lambda: torch.ones(2) @ torch.ones(3)))
    assert not is_out_of_memory(NonFiniteLoss("out of memory"))


@pytest.mark.parametrize(("fitting", "found"), [(33, 33), (16, 9), (1, 1)])
def test_the_batch_is_halved_until_it_fits(fitting: int, found: int) -> None:
    assert in_batches_that_fit(needs(fitting), 33, "a test", CPU) == (10 * found, found)


def test_what_was_done_is_taken_back_before_the_next_try() -> None:
    events: list[object] = []

    def work(size: int) -> None:
        events.append(size)
        if size > 4:
            torch.empty(FAR_TOO_MUCH, dtype=torch.uint8)

    in_batches_that_fit(work, 16, "a test", CPU, undo=lambda: events.append("undo"))
    assert events == [16, "undo", 8, "undo", 4]


def test_one_image_that_does_not_fit_is_the_end_and_tells_what_was_tried() -> None:
    with pytest.raises(OutOfMemory, match=r"cpu does not hold a test; tried batches of 6, 3, 2, 1: .*can't allocate"):
        in_batches_that_fit(needs(0), 6, "a test", CPU)


def test_another_error_is_not_tried_again() -> None:
    sizes: list[int] = []

    def work(size: int) -> None:
        sizes.append(size)
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        in_batches_that_fit(work, 8, "a test", CPU)
    assert sizes == [8]


def test_tensors_of_a_failed_try_are_free_before_the_next_one() -> None:
    class Witness:
        alive = 0

        def __init__(self) -> None:
            Witness.alive += 1

        def __del__(self) -> None:
            Witness.alive -= 1

    seen: list[int] = []

    def work(size: int) -> None:
        seen.append(Witness.alive)
        _held = [Witness()]
        if size > 1:
            torch.empty(FAR_TOO_MUCH, dtype=torch.uint8)

    in_batches_that_fit(work, 4, "a test", CPU)
    assert seen == [0, 0, 0]
