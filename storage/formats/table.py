"""All formats, by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from storage.formats.base import Format
from storage.formats.blocks import Raw
from storage.formats.folders import Files
from storage.formats.huggingface import Parquet
from storage.formats.tarred import WebDataset

FORMATS: Mapping[str, Format] = MappingProxyType(
    {entry.name: entry for entry in (WebDataset(), Parquet(), Files(), Raw())}
)
