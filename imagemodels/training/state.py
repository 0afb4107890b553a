"""The resume set of a training run, as one file that holds tensors and plain values only.

Everything random is a function of seed, diversions and step, so that no generator state is stored.
"""

import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZipFile

import torch
from torch import Tensor

from imagemodels.errors import ConfigError, CorruptCheckpoint, NonFiniteLoss
from imagemodels.memory import is_out_of_memory
from imagemodels.training.config import TrainConfig

if TYPE_CHECKING:
    from imagemodels.training.run import Run

FORMAT_VERSION = 3
# Format 1 knew neither micro-batches nor diversions, and format 2 no guard: a run of then had none of either.
READABLE_VERSIONS = (1, 2, FORMAT_VERSION)


def write(run: "Run", file: IO[bytes]) -> None:
    """Write the state; equal states give equal bytes, which holds for an open file but not for a path.

    Raises NonFiniteLoss, before anything is written, when a number of the state is NaN or infinite.
    """
    best = run.best
    content = _canonical(
        {
            "format_version": FORMAT_VERSION,
            "config": run.config.to_json(),
            "data": run.data_digest,
            **_position(run),
            "micro_batch": run.micro_batch,
            "diversions": run.diversions,
            "best": {"value": best.value, "images_seen": best.images_seen, "weights": best.weights} if best else None,
            "guard": run.guard.counts(),
            "anchor": run.guard.anchor,
            **run.tensors(),
        }
    )
    _raise_for(_broken(content))
    torch.save(content, file)


def snapshot(run: "Run") -> dict[str, Any]:
    """Return a copy, on the CPU, of what ``restore`` needs to go on from here."""
    copied: dict[str, Any] = _copied({**run.tensors(), **_position(run)})
    return copied


def restore(run: "Run", kept: dict[str, Any]) -> None:
    """Go back to where ``snapshot`` was taken."""
    _fill_tensors(run, _copied(kept))


def packed(run: "Run") -> bytes:
    """Return all that another rank needs to take the same steps from here on; ``unpack`` reads it."""
    file = BytesIO()
    torch.save({**run.tensors(), **_position(run), "micro_batch": run.micro_batch, "diversions": run.diversions}, file)
    return file.getvalue()


def unpack(run: "Run", content: bytes) -> None:
    """Go on from what another rank has packed."""
    stored = torch.load(BytesIO(content), map_location=run.runtime.torch_device, weights_only=True)
    _fill_tensors(run, stored)
    run.micro_batch, run.diversions = stored["micro_batch"], stored["diversions"]


def require_finite(run: "Run") -> None:
    """Raise NonFiniteLoss when a weight, an average or a moment is NaN or infinite."""
    _raise_for(_broken(run.tensors()))


def _position(run: "Run") -> dict[str, int | None]:
    return {"step": run.step, "sampled_at": run.sampled_at, "measured_at": run.measured_at}


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def _broken(content: Mapping[str, Any]) -> list[str]:
    """The parts of a state in which a number is NaN or infinite."""
    names = [key for key, value in content.items() if value and isinstance(value, Mapping)]
    found = [(name, tensor) for name in names for tensor in _floats(content[name])]
    if not found:
        return []
    flags = torch.stack([tensor.isfinite().all() for _, tensor in found]).tolist()  # one transfer for all
    return list(dict.fromkeys(name for (name, _), finite in zip(found, flags, strict=True) if not finite))


def _floats(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach()
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _floats(entry)


def _raise_for(broken: list[str]) -> None:
    if broken:
        raise NonFiniteLoss(f"numbers in {', '.join(broken)} are not finite; lower the learning rate")


def _canonical(value: Any) -> Any:
    """Rebuild containers and share equal strings: the file format marks what is the same object, not what is equal."""
    if isinstance(value, dict):
        return {_canonical(key): _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_canonical(entry) for entry in value)
    return sys.intern(value) if isinstance(value, str) else value


def read(run: "Run", file: IO[bytes]) -> None:
    """Fill ``run`` from what ``write`` wrote.

    Raises CorruptCheckpoint when the file is unreadable, of another configuration or other images, or not finite.
    """
    stored = _stored(file, run.runtime.torch_device)
    try:
        _require_same_run(run, stored)
        if broken := _broken(stored):
            raise CorruptCheckpoint(f"the training state holds numbers in {', '.join(broken)} that are not finite")
        _fill(run, stored)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise CorruptCheckpoint(f"the training state does not fit this model: {error}") from error


def begin(run: "Run", file: IO[bytes]) -> None:
    """Give ``run`` the networks and averages of a state that ``write`` wrote, and nothing else of it.

    Raises CorruptCheckpoint when the file is unreadable, not finite, or of networks of another make.
    """
    stored = _stored(file, run.runtime.torch_device)
    if broken := _broken(stored):
        raise CorruptCheckpoint(f"the training state holds numbers in {', '.join(broken)} that are not finite")
    try:
        run.begin_with(stored)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise CorruptCheckpoint(f"its networks are of another make: {str(error).splitlines()[0]}") from error


def _stored(file: IO[bytes], device: torch.device) -> dict[str, Any]:
    try:
        _require_plain(file)
        stored = torch.load(file, map_location=device, weights_only=True)
        _require_own_memory(stored)
    except Exception as error:  # the unpickler, the zip reader and torch each have errors of their own
        if is_out_of_memory(error):  # the file may be as good as ever
            raise
        raise CorruptCheckpoint(f"the training state cannot be read: {error}") from error
    if not isinstance(stored, dict) or stored.get("format_version") not in READABLE_VERSIONS:
        raise CorruptCheckpoint(f"the file is not a training state of format {FORMAT_VERSION}")
    return stored


def _require_plain(file: IO[bytes]) -> None:
    """Raise ValueError for an archive of which torch would unpack more than lies in it; its own are not packed."""
    with ZipFile(file) as archive:
        packed = [member for member in archive.infolist() if member.file_size > member.compress_size]
    if packed:
        raise ValueError(f"{packed[0].filename} is packed")
    file.seek(0)


def _require_own_memory(value: Any) -> None:
    """Raise ValueError for a tensor that is more than what was read for it: a few bytes can be a view of terabytes."""
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_quantized:
            raise ValueError(f"it holds a tensor of layout {value.layout}")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(f"it holds a tensor {tuple(value.shape)} that is larger than its bytes")
    elif isinstance(value, Mapping):
        for entry in value.values():
            _require_own_memory(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            _require_own_memory(entry)


def _require_same_run(run: "Run", stored: dict[str, Any]) -> None:
    try:
        differences = run.config.differences(TrainConfig.from_json(stored["config"]))
    except ConfigError as error:
        raise CorruptCheckpoint(f"the training state has an unreadable configuration: {error}") from error
    if differences:
        raise CorruptCheckpoint(f"the training state belongs to another configuration: {'; '.join(differences)}")
    if stored["data"] != run.data_digest:
        raise CorruptCheckpoint("the training state belongs to other images: their digests differ")


def _fill(run: "Run", stored: dict[str, Any]) -> None:
    from imagemodels.training.run import Best

    _fill_tensors(run, stored)
    run.micro_batch = min(stored.get("micro_batch", run.micro_batch), run.config.device_batch_size)
    run.diversions = stored.get("diversions", 0)
    run.best = Best(**stored["best"]) if stored["best"] else None
    if "guard" in stored:
        run.guard.remember(stored["guard"], _copied(stored["anchor"]))


def _fill_tensors(run: "Run", stored: dict[str, Any]) -> None:
    run.fill(stored)
    run.step = stored["step"]
    run.sampled_at = stored["sampled_at"]
    run.measured_at = stored["measured_at"]
