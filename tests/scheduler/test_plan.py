from hypothesis import given
from hypothesis import strategies as st

from db.tables.jobs import Role
from pixmill.specs import EvaluateSpec, GenerateSpec, TrainSpec
from scheduler.pace import Pace
from scheduler.plan import MOST_TASKS, TASK_SECONDS, Plan, plan_evaluate, plan_generate, plan_train

counts = st.integers(1, 10**7) | st.integers(1, 10**12)
shard_sizes = st.integers(1, 1_000_000)
rates = st.tuples(st.floats(1e-3, 1e7), st.floats(1e-3, 1e7)).map(sorted)
unknown_paces = st.builds(Pace, st.integers(1, 100))
known_paces = st.builds(lambda devices, pair: Pace(devices, *pair), st.integers(1, 100), rates)


def nobody_asks() -> Pace:
    raise AssertionError("one task is one task at any pace")


def planned(n: int, shard_size: int, pace: Pace) -> Plan:
    return plan_generate(GenerateSpec(model="digits@1", n=n, shard_size=shard_size), lambda: pace)


def shares(n: int, shard_size: int, pace: Pace) -> list[int]:
    """How many shards each task gets."""
    return [task.params["shards"] for task in planned(n, shard_size, pace).tasks[:-1]]


@given(counts, shard_sizes, unknown_paces | known_paces)
def test_every_shard_of_an_output_belongs_to_one_task(n: int, shard_size: int, pace: Pace) -> None:
    plan = planned(n, shard_size, pace)
    *makers, assemble = plan.tasks
    end = 0
    for task in makers:
        assert task.role is Role.GENERATE
        assert (task.params["first_shard"], task.after) == (end, ())
        assert task.params["shards"] >= 1
        end += task.params["shards"]
    assert (end - 1) * shard_size < n <= end * shard_size
    assert (assemble.role, assemble.after) == (Role.ASSEMBLE, tuple(range(len(makers))))
    assert plan.images == n


@given(counts, shard_sizes, unknown_paces | known_paces)
def test_no_job_is_too_big_to_be_planned_and_none_too_small_for_its_devices(
    n: int, shard_size: int, pace: Pace
) -> None:
    tasks = len(shares(n, shard_size, pace))
    assert min(pace.devices, -(-n // shard_size)) <= tasks <= MOST_TASKS


@given(counts, shard_sizes, known_paces)
def test_a_task_of_several_shards_is_worth_a_minute_at_most_unless_there_were_too_many(
    n: int, shard_size: int, pace: Pace
) -> None:
    share = max(shares(n, shard_size, pace))
    assert pace.slowest is not None
    assert pace.fastest is not None
    seconds = share * shard_size / pace.slowest
    is_many = share == -(-n // shard_size // MOST_TASKS)
    assert share == 1 or is_many or seconds <= TASK_SECONDS or share * shard_size <= pace.fastest


def test_short_shards_are_taken_together_and_long_ones_alone() -> None:
    assert len(shares(100_000_000, 10_000, Pace(4, 20_000.0, 20_000.0))) == 167  # half a second each
    assert set(shares(1_000_000, 10_000, Pace(4, 50.0, 50.0))) == {1}
    assert set(shares(1_000_000, 10_000, Pace(4))) == {1}  # nobody knows


@given(st.integers(1, 10**12))
def test_training_and_judging_are_one_task(count: int) -> None:
    train = plan_train(TrainSpec(model="vae", dataset="digits", images=count), nobody_asks)
    evaluate = plan_evaluate(EvaluateSpec(output=1, n=count), nobody_asks)
    assert [task.role for task in (*train.tasks, *evaluate.tasks)] == [Role.TRAIN, Role.EVALUATE]
    assert train.images == evaluate.images == count
