"""How much memory a device process may still share out."""

from pathlib import Path


def memory_available() -> int:
    """Bytes that can be had without swapping."""
    facts = Path("/proc/meminfo").read_text(encoding="ascii")
    (line,) = (line for line in facts.splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024
