"""Images that are made straight into memory that was given; on a GPU while the last ones are copied."""

import gc
import logging
import weakref

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from imagemodels import sampling
from imagemodels.lanes import Lanes, Pixels, lock_pages
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from tests.imagemodels.test_sampling import INDICES, SPECS, new_generator

CUTS: tuple[list[int], ...] = ([], [5], [3, 19, 35])  # 37 images in batches of 16
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def places(generator: Generator, cuts: list[int]) -> list[NDArray[np.uint8]]:
    """Room for all images, in pieces."""
    side = generator.network.spec.image_size
    return np.split(np.zeros((len(INDICES), side, side, 3), np.uint8), cuts)


@pytest.mark.parametrize("kind", ["plain", "unconditional"])
def test_images_go_where_they_shall(kind: str) -> None:
    generator = new_generator(SPECS[kind])
    for cuts in CUTS:
        room = places(generator, cuts)
        generator.sample_into(room, 7, INDICES)()
        assert np.array_equal(np.concatenate(room), generator.sample(7, INDICES))


def test_threads_draw_the_same_latents() -> None:
    source = new_generator()._latents
    for count in (0, 3, 37):
        labels = INDICES[:count] % 4
        drawn = source.draw_with_threads(7, INDICES[:count], labels)
        assert np.array_equal(drawn, source.draw(7, INDICES[:count], labels))


class Keeper:
    """Keeps what lanes keep; those of a GPU need one."""

    def __init__(self, pixels: Pixels, _network: object, batch_size: int, _device: torch.device) -> None:
        self.pixels, self.batch_size = pixels, batch_size


def test_a_generator_that_nobody_wants_any_more_leaves_the_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "Lanes", Keeper)
    generator = new_generator()
    generator._lanes_of(16)
    gone = weakref.ref(generator)
    gc.disable()
    try:
        del generator
        assert gone() is None
    finally:
        gc.enable()


def on_gpu(kind: str, precision: str = "fp32") -> Generator:
    runtime = Runtime("cuda", precision=precision)
    network = new_generator(SPECS[kind]).network
    runtime.place(network)
    return Generator(network, runtime, 16)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_makes_the_same_images_with_a_graph(kind: str, precision: str, caplog: pytest.LogCaptureFixture) -> None:
    generator = on_gpu(kind, precision)
    expected = [generator.sample(seed, INDICES) for seed in range(4)]
    rooms = [places(generator, [3, 19, 35]) for _ in expected]
    waits = [generator.sample_into(room, seed, INDICES) for seed, room in enumerate(rooms)]
    for wait in waits:
        wait()
    assert all(np.array_equal(np.concatenate(room), one) for room, one in zip(rooms, expected, strict=True))
    assert not caplog.records  # no graph was refused


@pytest.mark.gpu
@needs_gpu
def test_images_are_copied_straight_into_locked_pages() -> None:
    generator = on_gpu("plain")
    side = generator.network.spec.image_size
    memory = np.zeros(2**20, np.uint8)
    unlock = lock_pages(memory)
    room = memory[: len(INDICES) * side * side * 3].reshape(len(INDICES), side, side, 3)
    assert torch.from_numpy(room).is_pinned()
    generator.sample_into([room], 7, INDICES)()
    assert np.array_equal(room, generator.sample(7, INDICES))
    unlock()
    assert not torch.from_numpy(room).is_pinned()


@pytest.mark.gpu
@needs_gpu
def test_what_cannot_be_captured_is_launched_kernel_by_kernel(caplog: pytest.LogCaptureFixture) -> None:
    generator = on_gpu("unconditional")

    def waits_for_the_device(latents: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        assert latents.abs().sum().item() >= 0
        return sampling._pixels(generator._fast, latents, labels)

    before = torch.cuda.current_stream()
    room = places(generator, [])
    latents = generator.latents(7, INDICES)
    with torch.inference_mode(), generator.runtime.activated(), caplog.at_level(logging.WARNING):
        lanes = Lanes(waits_for_the_device, generator.network, 16, generator.runtime.torch_device)
        lanes.start(room, latents, None)()
    assert "no CUDA graph, kernels are launched one by one" in caplog.text
    assert torch.cuda.current_stream() == before
    assert np.array_equal(room[0], generator.sample(7, INDICES))
