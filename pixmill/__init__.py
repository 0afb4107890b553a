"""The contract that all rooms share: settings, job specs, states, errors and the version."""

__version__ = "0.1.0"
