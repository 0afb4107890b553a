"""What an examination found wrong."""

from collections.abc import Iterable

from cli.doctor.findings import Finding, Level


def wrong(findings: Iterable[Finding]) -> dict[str, tuple[Level, str | None]]:
    """Detail → level and remedy of whatever is not in order."""
    return {each.detail: (each.state, each.remedy) for each in findings if each.state is not Level.OK}


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = [each for each in findings if each.state is not Level.OK]
    return finding
