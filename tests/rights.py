"""What pixmill's user of Redis may do, as the example that operators are given has it."""

from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "deploy" / "redis" / "users.acl.example"


def broker_rules() -> list[str]:
    """Keys, channels and commands, without name and password."""
    (line,) = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.startswith("user pixmill ")]
    return line.split()[4:]
