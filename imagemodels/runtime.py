"""Where and how tensors are computed: device, precision, determinism, threads."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils import deterministic

from imagemodels.errors import ConfigError
from imagemodels.names import did_you_mean

Precision = Literal["fp32", "bf16"]
PRECISIONS = (*get_args(Precision), "auto")
CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def bf16_supported(device: str) -> bool:
    """Return whether ``device`` multiplies bfloat16 in hardware (CPU: AMX or AVX512-BF16), so that it is faster."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


@dataclass(frozen=True, slots=True)
class Runtime:
    """A device and the way in which it computes; leaves the process's global settings as it found them.

    ``precision`` is fp32, bf16 (forward passes only; losses and optimizers stay in fp32) or auto (bf16 where the
    hardware has it). ``threads`` limits the CPU threads of one operation; None keeps the process's number.
    Raises ConfigError when the precision is unknown or the device is not there.
    """

    device: str = "cpu"
    precision: str = "fp32"
    deterministic: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            hint = did_you_mean(self.precision, PRECISIONS)
            raise ConfigError(
                f"precision {self.precision!r} does not exist{hint}; choose one of {', '.join(PRECISIONS)}"
            )
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads must be at least 1, got {self.threads}")
        _require_device(self.device)

    @property
    def torch_device(self) -> torch.device:
        """The device as torch names it."""
        return torch.device(self.device)

    @property
    def resolved_precision(self) -> Precision:
        """The precision in force: fp32 or bf16, never auto."""
        if self.precision == "auto":
            return "bf16" if bf16_supported(self.device) else "fp32"
        return "bf16" if self.precision == "bf16" else "fp32"

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context for forward passes of a network that is being trained."""
        enabled = self.resolved_precision == "bf16"
        return torch.autocast(self.torch_device.type, dtype=torch.bfloat16, enabled=enabled)

    @contextmanager
    def activated(self) -> Iterator[None]:
        """Apply threads and determinism within the context and restore the process's settings after it."""
        with ExitStack() as undo:
            if self.threads is not None and self.threads != torch.get_num_threads():
                undo.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(self.threads)
            if self.deterministic:
                _make_deterministic(undo, self.torch_device)
            yield

    def place(self, network: nn.Module) -> nn.Module:
        """Move ``network`` in place to the device, convolution weights in channels_last memory."""
        return network.to(self.torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def put(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` on the device."""
        return tensor.to(self.torch_device, non_blocking=True)


def _require_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not a torch device; use cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise ConfigError(f"device {name!r} is not supported; use cpu, cuda or cuda:N")
    found = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        raise ConfigError(f"device {name!r} was asked for; this process sees {found} CUDA devices; use cpu instead")


def _make_deterministic(undo: ExitStack, device: torch.device) -> None:
    if not torch.are_deterministic_algorithms_enabled():
        # The older of torch's two switches: the other one imports the compiler too, which takes seconds.
        undo.callback(torch.set_deterministic_debug_mode, "default")
        torch.set_deterministic_debug_mode("error")
    # Filling fresh memory with NaN finds reads of what was never written; it costs time and changes no result.
    settings: Any = deterministic  # the attribute is made when torch starts, which type checkers do not see
    undo.callback(setattr, settings, "fill_uninitialized_memory", settings.fill_uninitialized_memory)
    settings.fill_uninitialized_memory = False
    if device.type == "cuda" and CUBLAS_WORKSPACE not in os.environ:
        # cuBLAS reduces in a fixed order only with a fixed workspace; torch refuses matrix products without it.
        undo.callback(os.environ.pop, CUBLAS_WORKSPACE, None)
        os.environ[CUBLAS_WORKSPACE] = ":4096:8"
