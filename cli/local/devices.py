"""Which devices get a worker: what was asked for, against what this host has."""

from collections.abc import Sequence

from pixmill.errors import UserError
from worker.device.pinning import parse_device
from worker.parent.devices import AUTO


def parse_devices(asked: Sequence[str]) -> tuple[str, ...]:
    """The asked-for devices, each once; none asked for means "auto".  Raises UserError.

    >>> parse_devices(["cpu:0", "cpu:1", "cuda:0"])
    ('cpu:0', 'cpu:1', 'cuda:0')
    >>> parse_devices([])
    ('auto',)
    """
    chosen = tuple(asked) or (AUTO,)
    for name in chosen:
        if name != AUTO:
            parse_device(name)
        if chosen.count(name) > 1:
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
    for name in chosen:
        if not _is_cpu(name) and name not in present:
            raise UserError(f"device {name} was asked for; this host has {', '.join(present)}", hint="--device auto")
    return tuple(chosen)


def _is_cpu(name: str) -> bool:
    return name != AUTO and parse_device(name)[0] == "cpu"
