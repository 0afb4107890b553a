"""Which devices get a worker: what was asked for, against what this host has."""

from collections.abc import Sequence

from pixmill.errors import UserError
from worker.device.slots import members, parse_slot, slot_name
from worker.parent.devices import AUTO


def parse_devices(asked: Sequence[str]) -> tuple[str, ...]:
    """The asked-for devices, and sets of devices, each once; none asked for means "auto".  Raises UserError.

    >>> parse_devices(["cpu:0", "cpu:1", "cuda:0,cuda:1"])
    ('cpu:0', 'cpu:1', 'cuda:0-1')
    >>> parse_devices([])
    ('auto',)
    """
    chosen = tuple(name if name == AUTO else slot_name(name) for name in asked) or (AUTO,)
    named = [member for name in chosen for member in ([name] if name == AUTO else members(name))]
    for name in named:
        if named.count(name) > 1:
            raise UserError(f"device {name} is named twice", hint="a device has one worker")
    if AUTO in chosen and len(chosen) > 1:
        raise UserError("auto means every device: it goes with no other name", hint="name the devices, or none")
    return chosen


def needs_probe(chosen: Sequence[str]) -> bool:
    """Whether the host must be asked; a CPU there always is."""
    return any(not _is_cpu(name) for name in chosen)


def match_devices(chosen: Sequence[str], present: Sequence[str]) -> tuple[str, ...]:
    """The devices to use out of those `present`.  Raises UserError for one that is not.

    >>> match_devices(["auto"], ["cuda:0", "cuda:1"])
    ('cuda:0', 'cuda:1')
    """
    if AUTO in chosen:
        return tuple(present)
    wanted = [member for name in chosen if not _is_cpu(name) for member in members(name)]
    for name in wanted:
        if name not in present:
            raise UserError(f"device {name} was asked for; this host has {', '.join(present)}", hint="--device auto")
    return tuple(chosen)


def _is_cpu(name: str) -> bool:
    return name != AUTO and parse_slot(name)[0] == "cpu"
