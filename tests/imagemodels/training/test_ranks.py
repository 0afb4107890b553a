"""Runs that several ranks share: Gloo between threads, each of which is a rank as a process of its own would be."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import cache, partial
from itertools import count, islice
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore

from imagemodels.errors import ConfigError, CorruptCheckpoint, OutOfMemory, RankLost
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent, follow
from imagemodels.training.ranks import Order, OutOfMemoryElsewhere, Ranks
from tests.imagemodels.training.test_micro_batches import WITHOUT_BATCH_NORM, short_memory, weights
from tests.imagemodels.training.test_trainer import (
    SMALL,
    new_trainer,
    resumed,
    small_config,
    state_of,
    without_progress,
)

pytestmark = pytest.mark.long

PATIENCE = timedelta(minutes=5)
Act = Callable[[Descent], object]


class Deaf(Ranks):
    """The mistake that all this is about: every rank moves by the gradient of its own share."""

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Leave them as they are."""


@pytest.fixture(autouse=True)
def _on_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


def config_of(preset: str, devices: int = 2, steps: int = 3, **overrides: Any) -> TrainConfig:
    own = {"evaluate_every": 0, "samples_every": 0, "overrides": SMALL[preset] | overrides}
    return small_config(preset, steps, devices=devices, **own)


def gloo(store: Any, rank: int, count: int) -> Any:
    """What `Ranks.join` finds in a process: torch keeps one for each of those, and not for each thread."""
    return dist.ProcessGroupGloo(store, rank, count, PATIENCE)


def together(
    config: TrainConfig, lead: Act, kind: type[Ranks] = Ranks, prepare: Callable[[Descent], Descent] = lambda run: run
) -> list[Descent]:
    """Let as many ranks as the configuration has devices share a run, of which the first is led as told."""
    store = HashStore()

    def join(rank: int) -> Ranks:
        return kind(gloo(store, rank, config.devices))

    with ExitStack() as outer, ThreadPoolExecutor(config.devices) as threads:
        outer.enter_context(Runtime(threads=1).activated())  # settings of the whole process: no thread may undo them
        ranks = list(threads.map(join, range(config.devices)))
        runs = [prepare(new_trainer(config, one)) for one in ranks]
        others = [threads.submit(follow, run.ranks, partial(pass_on, run)) for run in runs[1:]]
        try:
            lead(runs[0])
        finally:
            runs[0].ranks.tell(Order.END)
            for other in others:
                other.result(PATIENCE.total_seconds())
    return runs


def pass_on(run: Descent) -> Descent:
    return run


def finish(run: Descent) -> None:
    for _event in run.run():
        pass


def alone(config: TrainConfig) -> Descent:
    run = new_trainer(TrainConfig.from_json(config.to_json().replace(f'"devices": {config.devices}', '"devices": 1')))
    finish(run)
    return run


def still(run: Descent) -> Descent:
    """The run, its batch norms fixed: what they see of a batch depends on how it is shared out."""
    for layer in (layer for network in run.task.networks.values() for layer in network.modules()):
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    return run


def differ(run: Descent, other: Descent, start: Descent) -> float:
    """How far apart two runs have come, as a share of the way of the second one."""
    return float((weights(run) - weights(other)).norm() / (weights(other) - weights(start)).norm())


SHARED = {
    **{loss: WITHOUT_BATCH_NORM[loss] for loss in ("hinge", "wgan gp")},
    "rp r1r2, clipped": ("mlp-gan", {"gradient_clip": 0.1}),
    "elbo": ("mlp-vae", {"reconstruction": "mse"}),
}


@pytest.mark.parametrize("loss", SHARED)
def test_without_batch_norm_two_ranks_go_where_one_goes(loss: str) -> None:
    preset, overrides = SHARED[loss]
    config = config_of(preset, **overrides)
    first, second = together(config, finish)
    assert torch.equal(weights(first), weights(second))
    # Adam turns the rounding error of a gradient that is nearly zero into a step of any size: not one by one.
    assert differ(first, alone(config), new_trainer(config, first.ranks)) < 2e-2


@pytest.mark.parametrize("devices", [2, 3])
def test_the_gradients_and_losses_are_those_of_the_whole_batch(devices: int) -> None:
    """Three ranks have 5, 5 and 6 of the 16 images."""
    config = config_of("vae", devices, steps=1, reconstruction="mse", learning_rate=1e-7)
    runs = together(config, Descent._advance, prepare=still)
    whole = still(new_trainer(config_of("vae", 1, steps=1, reconstruction="mse", learning_rate=1e-7)))
    whole._advance()
    encoders = [run.task.networks["encoder"].parameters() for run in (*runs[:2], whole)]
    for mine, theirs, weight in zip(*encoders, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert torch.equal(mine.grad, theirs.grad)
        torch.testing.assert_close(mine.grad, weight.grad, rtol=1e-4, atol=1e-5)
    assert runs[0]._meter.report()[0] == pytest.approx(whole._meter.report()[0], rel=1e-5)


def test_without_the_sums_the_ranks_drift_apart() -> None:
    config = config_of("mlp-vae", reconstruction="mse")
    first, second = together(config, finish, Deaf)
    assert not torch.equal(weights(first), weights(second))
    assert differ(first, alone(config), new_trainer(config, first.ranks)) > 2e-2


@pytest.mark.parametrize("preset", ["vae-gan", "cnn", "convlstm"])
def test_the_same_seed_gives_the_same_bytes_on_every_rank_and_in_every_run(preset: str) -> None:
    config = config_of(preset)
    runs = together(config, finish)
    assert state_of(runs[0]) == state_of(together(config, finish)[0])
    mine, theirs = (run.task.networks for run in runs)
    for name, network in mine.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, theirs[name].state_dict()[key]), (name, key)


def test_a_run_of_two_ranks_goes_on_bit_for_bit_on_a_path_that_was_left_too() -> None:
    config = config_of("sngan", steps=6)
    states: list[bytes] = []

    def stop(run: Descent) -> None:
        for _event in islice(without_progress(run.run()), 2):
            pass
        run.divert()
        for _event in islice(without_progress(run.run()), 2):
            pass
        states.append(state_of(run))

    def go_on(run: Descent) -> None:
        run.load(io.BytesIO(states[0]))
        finish(run)

    def both(run: Descent) -> None:
        stop(run)
        finish(run)

    together(config, stop)
    resumed_runs = together(config, go_on)
    assert state_of(resumed_runs[0]) == state_of(together(config, both)[0])
    assert torch.equal(*map(weights, resumed_runs))
    with pytest.raises(CorruptCheckpoint, match="devices 2 -> 1"):
        resumed(config_of("sngan", 1, steps=6), states[0])


Part = Callable[[Descent], tuple[object, str]]

# What may run out of memory, in the order of a step: of the second move, the discriminators of both ranks have moved,
# and so they have in all other ranks where one of them does not find the memory to move after the sums.
PLACES: dict[str, Part] = {
    "what is kept for a way back": lambda run: (run._undo, "keep"),
    "images": lambda run: (run.stream, "batch"),
    "moments": lambda run: (run.task.optimizers["discriminator"], "make_moments"),
    "room for the sums": lambda run: (run.ranks, "add_up"),
    "a move that others have made": lambda run: (run.task.optimizers["discriminator"], "clip_gradients"),
    "moments of the second move": lambda run: (run.task.optimizers["generator"], "make_moments"),
}


def run_short_once(owner: object, name: str, after: int) -> None:
    """Let there be no memory, once, when that method begins its work after so many other times."""
    whole, times = getattr(owner, name), count()

    def short(*arguments: Any) -> Any:
        if next(times) == after:
            torch.empty(2**50, dtype=torch.uint8)
        return whole(*arguments)

    setattr(owner, name, short)


def in_smaller_parts(run: Descent, size: int = 4) -> Descent:
    run.micro_batch = size
    return run


@cache
def game_in_smaller_parts() -> bytes:
    return state_of(together(config_of("mlp-gan", steps=2, gradient_clip=1.0), finish, prepare=in_smaller_parts)[0])


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("place", PLACES)
def test_wherever_in_the_first_step_one_rank_runs_out_of_memory_both_take_it_again(place: str, rank: int) -> None:
    def shorten(run: Descent) -> Descent:
        if run.ranks.rank == rank:
            run_short_once(*PLACES[place](run), after=0)
        return run

    short = together(config_of("mlp-gan", steps=2, gradient_clip=1.0), finish, prepare=shorten)
    assert [run.micro_batch for run in short] == [4, 4]
    assert torch.equal(*map(weights, short))
    assert state_of(short[0]) == game_in_smaller_parts()


def test_a_late_step_is_taken_back_with_moments_and_running_statistics() -> None:
    def shorten(run: Descent) -> Descent:
        if run.ranks.rank == 1:  # in its generator's half, when the discriminators of both have moved
            shortages.enter_context(short_memory(run, "discriminator", 7, 3))
        return run

    states: list[Any] = []

    def note(run: Descent) -> None:
        next(without_progress(run.run()))
        in_smaller_parts(run, 2)
        run._others_know = False
        finish(run)
        states.append(state_of(run))

    with ExitStack() as shortages:
        short = together(config_of("sngan"), finish, prepare=shorten)
    together(config_of("sngan"), note)
    assert [run.micro_batch for run in short] == [2, 2]
    assert [state_of(short[0])] == states
    assert torch.equal(*map(weights, short))


def test_where_a_rank_has_moved_last_and_another_one_could_not_there_is_no_way_back() -> None:
    store = HashStore()

    def end(rank: int) -> None:
        ranks = Ranks(gloo(store, rank, 2))
        with ranks.attempting():
            torch.empty(2**50 if rank == 1 else 1, dtype=torch.uint8)
            ranks.end_step([torch.zeros(2)])

    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(end, rank) for rank in range(2)]
    with pytest.raises(RankLost, match="another rank ran out of memory while it moved the weights"):
        ends[0].result()
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        ends[1].result()


def test_where_one_image_is_too_much_for_one_rank_the_leader_says_so() -> None:
    def shorten(run: Descent) -> Descent:
        if run.ranks.rank == 1:
            shortages.enter_context(short_memory(run, "decoder", 0))
        return run

    with ExitStack() as shortages, pytest.raises(OutOfMemory, match="8, 4, 2, 1: another rank ran out of memory"):
        together(config_of("vae"), finish, prepare=shorten)


def test_batch_norms_remember_the_mean_of_what_the_ranks_saw() -> None:
    config = config_of("cnn", steps=1)
    first, second = together(config, Descent._advance)
    halves = []
    for share in (slice(0, 8), slice(8, 16)):
        one = new_trainer(config_of("cnn", 1, steps=1))
        one.task.step(one.stream.batch(0, share))
        halves.append(one.task.statistics)
    for mine, theirs, *parts in zip(first.task.statistics, second.task.statistics, *halves, strict=True):
        assert torch.equal(mine, theirs)
        torch.testing.assert_close(mine, (parts[0] + parts[1]) / 2)


def test_shares_are_of_one_batch_and_keep_its_numbers() -> None:
    run = new_trainer(config_of("sngan", 1, horizontal_flips=True))
    whole, shares = run.stream.batch(1), [run.stream.batch(1, share) for share in (slice(0, 5), slice(5, 16))]
    assert torch.equal(torch.cat([share.images for share in shares]), whole.images)
    noise = [run.task.noise(share, 7, "latents") for share in shares]
    assert torch.equal(torch.cat(noise), run.task.noise(whole, 7, "latents"))
    assert [share.share for share in shares] == [5 / 16, 11 / 16]


def test_a_leader_that_is_gone_is_noticed() -> None:
    store = HashStore()

    def leave(rank: int) -> None:
        ranks = Ranks(gloo(store, rank, 2))
        if rank == 1:
            with pytest.raises(RankLost, match="another rank of this run is gone"):
                ranks.hear()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(leave, range(2)))


def test_what_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="preset 'forest' is trained on one device; 2 were asked for"):
        TrainConfig(preset="forest", image_size=8, channels=1, images=64, devices=2)
    with pytest.raises(ConfigError, match="a batch of 16 images is too small for 9 devices: each needs 2 of them"):
        config_of("vae", 9)
    with pytest.raises(ConfigError, match="devices is a whole number of at least 1, got 0"):
        config_of("vae", 0)
    with pytest.raises(ConfigError, match="the run is for 2 devices, and 1 ranks take part"):
        new_trainer(config_of("vae"))
    assert issubclass(OutOfMemoryElsewhere, MemoryError)
