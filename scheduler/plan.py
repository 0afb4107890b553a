"""How a spec becomes tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from db.jobs import NewTask
from db.tables import Role
from pixmill.specs import (
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GenerateSpec,
    PingSpec,
    RestoreSpec,
    TrainSpec,
)

MOST_TASKS = 2_000  # of one job; a move of one task looks at all of its job
IMAGES_A_TASK = 20_000  # some 10–60 s of work for the small generators; a device pulls the next one when done


@dataclass(frozen=True)
class Plan:
    """The tasks of one job, and how many images it will have handled at the end."""

    tasks: Sequence[NewTask]
    images: int


def plan_train(spec: TrainSpec) -> Plan:
    """One task: training is one device's work."""
    return _one_task(Role.TRAIN, spec.images)


def plan_generate(spec: GenerateSpec) -> Plan:
    """A task for every range of whole shards, and one that makes a data set of the shards in the end.

    >>> plan = plan_generate(GenerateSpec(model="m", n=50_000))
    >>> [(task.role.value, task.params.get("first_shard"), task.params.get("shards")) for task in plan.tasks]
    [('generate', 0, 2), ('generate', 2, 2), ('generate', 4, 1), ('assemble', None, None)]
    """
    return _plan_shards(spec.n, spec.shard_size)


def plan_animate(spec: AnimateSpec) -> Plan:
    """The tasks of a generate job: the frames are the images, and no animation is parted.

    >>> plan = plan_animate(AnimateSpec(model="m", n=1000, frames=40))
    >>> [(task.role.value, task.params.get("first_shard"), task.params.get("shards")) for task in plan.tasks]
    [('generate', 0, 10), ('generate', 10, 10), ('assemble', None, None)]
    """
    return _plan_shards(spec.images, spec.shard_size)


def plan_edit(spec: EditSpec) -> Plan:
    """The tasks of a generate job: what is edited, and what it becomes, are the images; no edit is parted.

    >>> plan = plan_edit(EditSpec(model="m", way="interpolate", n=4000, steps=8))
    >>> [(task.role.value, task.params.get("first_shard"), task.params.get("shards")) for task in plan.tasks]
    [('generate', 0, 10), ('generate', 10, 10), ('assemble', None, None)]
    """
    return _plan_shards(spec.images, spec.shard_size)


def _plan_shards(images: int, shard_size: int) -> Plan:
    shards = -(-images // shard_size)
    shards_a_task = max(1, IMAGES_A_TASK // shard_size, -(-shards // MOST_TASKS))
    generate = [
        NewTask(
            role=Role.GENERATE,
            params={"first_shard": first, "shards": min(shards_a_task, shards - first)},
        )
        for first in range(0, shards, shards_a_task)
    ]
    assemble = NewTask(role=Role.ASSEMBLE, params={}, after=tuple(range(len(generate))))
    return Plan([*generate, assemble], images)


def plan_restore(spec: RestoreSpec) -> Plan:
    """A task for all shards, whose number is known when the images are counted, and one that assembles them."""
    generate = NewTask(role=Role.GENERATE, params={})
    return Plan([generate, NewTask(role=Role.ASSEMBLE, params={}, after=(0,))], spec.n or 0)


def plan_evaluate(spec: EvaluateSpec) -> Plan:
    """One task: all numbers are about the same images."""
    return _one_task(Role.EVALUATE, spec.n)


def plan_compress(spec: CompressSpec) -> Plan:
    """One task: sizes and losses are about the same images."""
    return _one_task(Role.COMPRESS, spec.n)


def plan_decompress(_spec: DecompressSpec) -> Plan:
    """One task; the files are counted when they are found."""
    return _one_task(Role.DECOMPRESS, 0)


def plan_ping(_spec: PingSpec) -> Plan:
    """One task without images."""
    return _one_task(Role.PING, 0)


def _one_task(role: Role, images: int) -> Plan:
    return Plan([NewTask(role=role, params={})], images)
