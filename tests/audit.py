"""Whether a pinned dependency has a known vulnerability: asked of the package index by pip-audit.

    python -m tests.audit [constraints.txt]

Exit code 1 for a known one. Where nobody could be asked that is said, and is no failure: a check that did not happen
must not look like one that passed, and those who work behind a mirror must be able to go on.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

PINS = Path(__file__).parents[1] / "constraints.txt"
PROBE = "https://pypi.org/pypi/pillow/11.0.0/json"  # of which vulnerabilities are known
PROBE_SECONDS = 3.0
MOST_SECONDS = 60.0


def main(arguments: Sequence[str]) -> int:
    """Ask, and tell; gives the exit code."""
    reason = why_not_asked()
    if reason is None:
        found = _asked(Path(arguments[0]) if arguments else PINS)
        reason = found if isinstance(found, str) else None
        if not isinstance(found, str):
            code, lines = judged(found)
            sys.stderr.write("".join(f"audit: {line}\n" for line in lines))
            return code
    sys.stderr.write(f"audit: not checked: {reason}\n")
    return 0


def why_not_asked() -> str | None:
    """Why the service cannot be asked; None where it answers as it should."""
    try:
        with urlopen(PROBE, timeout=PROBE_SECONDS) as answer:
            known = json.load(answer).get("vulnerabilities")
    except (URLError, OSError, ValueError) as error:
        return f"the service does not answer: {error}"
    return None if known else "the service knows of no vulnerabilities at all"


def _asked(pins: Path) -> "Mapping[str, Any] | str":
    options = [
        "--requirement",
        str(pins),
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    command = [sys.executable, "-m", "pip_audit", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
        found: Mapping[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"no answer within {MOST_SECONDS:g} seconds"
    except ValueError:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1][:300]
    return found


def judged(found: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Exit code, and what is to be told, of what pip-audit found."""
    packages = found["dependencies"]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    bad = [
        f"{each['name']} {each['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'no version yet'}"
        for each in packages
        for one in each.get("vulns", ())
    ]
    if bad:
        return 1, bad
    lines = [f"{len(packages) - len(skipped)} packages have no known vulnerability"]
    return 0, [*lines, f"not checked: {', '.join(skipped)}"] if skipped else lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
