"""What the data readers raise.

DataError
├── DatasetMissing         nothing to read where the name points
│   └── DownloadFailed     no mirror gave the file that was published
├── UnknownDataset         a name that no reader knows
└── BadImage               a file that is not a usable image
"""

from imagemodels.errors import DataError


class DatasetMissing(DataError):
    """The place that the data set's name points to is absent or holds no images."""


class DownloadFailed(DatasetMissing):
    """No mirror delivered a file with the published checksum."""


class UnknownDataset(DataError):
    """The name is of no known kind of data set."""


class BadImage(DataError):
    """One or more files are not usable images; the message says which and why."""
