"""Lists this host's devices as JSON: `python -m worker.device.probe`. A process of its own, since it imports torch."""

import json

import torch


def main() -> None:
    """Print every CUDA device, or the CPU when there is none."""
    count = torch.cuda.device_count()
    names = [f"cuda:{number}" for number in range(count)] or ["cpu"]
    print(json.dumps([{"name": name} for name in names]))  # noqa: T201  its output is its purpose


if __name__ == "__main__":
    main()
