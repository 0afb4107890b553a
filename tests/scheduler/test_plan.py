from hypothesis import given
from hypothesis import strategies as st

from db.tables import Role
from pixmill.specs import EvaluateSpec, GenerateSpec, TrainSpec
from scheduler.plan import MOST_TASKS, plan_evaluate, plan_generate, plan_train

counts = st.integers(1, 10**7) | st.integers(1, 10**12)
shard_sizes = st.integers(1, 1_000_000)


@given(counts, shard_sizes)
def test_every_shard_of_an_output_belongs_to_one_task(n: int, shard_size: int) -> None:
    plan = plan_generate(GenerateSpec(model="digits@1", n=n, shard_size=shard_size))
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


@given(counts, shard_sizes)
def test_no_job_is_too_big_to_be_planned(n: int, shard_size: int) -> None:
    assert len(plan_generate(GenerateSpec(model="m", n=n, shard_size=shard_size)).tasks) <= MOST_TASKS + 1


def test_a_million_images_keep_many_devices_busy() -> None:
    assert len(plan_generate(GenerateSpec(model="m", n=1_000_000)).tasks) > 32


@given(st.integers(1, 10**12))
def test_training_and_judging_are_one_task(count: int) -> None:
    train = plan_train(TrainSpec(model="vae", dataset="digits", images=count))
    evaluate = plan_evaluate(EvaluateSpec(output=1, n=count))
    assert [task.role for task in (*train.tasks, *evaluate.tasks)] == [Role.TRAIN, Role.EVALUATE]
    assert train.images == evaluate.images == count
