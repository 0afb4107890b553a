"""How a spec becomes tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from db.jobs import NewTask
from db.tables.jobs import Role
from pixmill.specs import (
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GateSpec,
    GenerateSpec,
    PingSpec,
    ReportSpec,
    RestoreSpec,
    TrainSpec,
)
from scheduler.pace import Pace

MOST_TASKS = 2_000  # of one job; a move of one task looks at all of its job
TASK_SECONDS = 30.0  # of work, on the slowest device
SHORTEST_SECONDS = 1.0  # on the fastest: what a task costs beside its images is a few hundredths
ROUNDS = 4  # tasks for each device, at least, where a job has the shards: the last to end is not waited for long
UNKNOWN_RATE = 300.0  # images a second, where nobody knows: that of a large generator, so that tasks are small

AskPace = Callable[[], Pace]  # asked only by plans that depend on it


@dataclass(frozen=True)
class Plan:
    """The tasks of one job, and how many images it will have handled at the end."""

    tasks: Sequence[NewTask]
    images: int


def plan_train(spec: TrainSpec, _ask_pace: AskPace) -> Plan:
    """One task: training is one device's work."""
    return _one_task(Role.TRAIN, spec.images)


def plan_generate(spec: GenerateSpec, ask_pace: AskPace) -> Plan:
    """A task for every range of whole shards, and one that makes a data set of the shards in the end.

    >>> plan = plan_generate(GenerateSpec(model="m", n=50_000, shard_size=2_000), lambda: Pace(devices=3))
    >>> [(task.role.value, task.params.get("first_shard"), task.params.get("shards")) for task in plan.tasks[-3:]]
    [('generate', 22, 2), ('generate', 24, 1), ('assemble', None, None)]
    """
    return _plan_shards(spec.n, spec.shard_size, ask_pace)


def plan_animate(spec: AnimateSpec, ask_pace: AskPace) -> Plan:
    """The tasks of a generate job: the frames are the images, and no animation is parted.

    >>> plan = plan_animate(AnimateSpec(model="m", n=1000, frames=40), lambda: Pace(devices=1))
    >>> [task.params.get("shards") for task in plan.tasks]
    [4, 4, 4, 4, 4, None]
    """
    return _plan_shards(spec.images, spec.shard_size, ask_pace)


def plan_edit(spec: EditSpec, ask_pace: AskPace) -> Plan:
    """The tasks of a generate job: what is edited, and what it becomes, are the images; no edit is parted.

    >>> plan = plan_edit(EditSpec(model="m", way="interpolate", n=4000, steps=8), lambda: Pace(devices=2))
    >>> [task.params.get("shards") for task in plan.tasks]
    [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, None]
    """
    return _plan_shards(spec.images, spec.shard_size, ask_pace)


def _plan_shards(images: int, shard_size: int, ask_pace: AskPace) -> Plan:
    shards = -(-images // shard_size)
    shards_a_task = share_of_task(shards, shard_size, ask_pace()) if shards > 1 else 1
    generate = [
        NewTask(
            role=Role.GENERATE,
            params={"first_shard": first, "shards": min(shards_a_task, shards - first)},
        )
        for first in range(0, shards, shards_a_task)
    ]
    assemble = NewTask(role=Role.ASSEMBLE, params={}, after=tuple(range(len(generate))))
    return Plan([*generate, assemble], images)


def share_of_task(shards: int, shard_size: int, pace: Pace) -> int:
    """How many of its shards, of so many images each, a job gives to each task.

    So many that the slowest device works on them for half a minute, as far as speeds are known; no more than give every
    device several tasks; no fewer than keep the fastest busy for a second, as long as every device gets one, or than
    keep the number of tasks in bounds.

    >>> [share_of_task(10_000, 10_000, Pace(1, rate, rate)) for rate in (None, 200.0, 20_000.0)]
    [5, 5, 60]
    >>> [share_of_task(10, size, Pace(4, rate, rate)) for size, rate in ((10_000, None), (10_000, 9e3), (100, 9e3))]
    [1, 1, 2]
    >>> share_of_task(10_000, 1_000, Pace(2, slowest=100.0, fastest=50_000.0))
    50
    """
    most, least = TASK_SECONDS * (pace.slowest or UNKNOWN_RATE), SHORTEST_SECONDS * (pace.fastest or UNKNOWN_RATE)
    wanted = min(int(most) // shard_size, shards // (ROUNDS * pace.devices))
    fewest = min(int(least) // shard_size, shards // pace.devices)
    in_bounds = -(-shards // MOST_TASKS)
    return max(1, wanted, fewest, in_bounds)


def plan_restore(spec: RestoreSpec, _ask_pace: AskPace) -> Plan:
    """A task for all shards, whose number is known when the images are counted, and one that assembles them."""
    generate = NewTask(role=Role.GENERATE, params={})
    return Plan([generate, NewTask(role=Role.ASSEMBLE, params={}, after=(0,))], spec.n or 0)


def plan_evaluate(spec: EvaluateSpec, _ask_pace: AskPace) -> Plan:
    """One task: all numbers are about the same images."""
    return _one_task(Role.EVALUATE, spec.n)


def plan_gate(spec: GateSpec, _ask_pace: AskPace) -> Plan:
    """One task: both models are measured by the same device, in turn.

    >>> plan_gate(GateSpec(model="m@2", against="m@1", images=100), lambda: Pace(devices=1)).images
    600
    """
    return _one_task(Role.GATE, spec.images * spec.seeds * (1 if spec.against is None else 2))


def plan_compress(spec: CompressSpec, _ask_pace: AskPace) -> Plan:
    """One task: sizes and losses are about the same images."""
    return _one_task(Role.COMPRESS, spec.n)


def plan_decompress(_spec: DecompressSpec, _ask_pace: AskPace) -> Plan:
    """One task; the files are counted when they are found."""
    return _one_task(Role.DECOMPRESS, 0)


def plan_report(_spec: ReportSpec, _ask_pace: AskPace) -> Plan:
    """One task without images."""
    return _one_task(Role.REPORT, 0)


def plan_ping(_spec: PingSpec, _ask_pace: AskPace) -> Plan:
    """One task without images."""
    return _one_task(Role.PING, 0)


def _one_task(role: Role, images: int) -> Plan:
    return Plan([NewTask(role=role, params={})], images)
