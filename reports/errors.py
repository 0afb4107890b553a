"""The one error of this room."""


class ReportError(ValueError):
    """What was handed over cannot be shown: the message says what was found and what is expected."""
