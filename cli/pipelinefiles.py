"""Pipelines from files: their steps read like jobs, and errors that name the file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from client.documents import read_documents
from client.pipelines import only_pipeline
from pixmill.errors import PixmillError, SpecError
from pixmill.pipelines import PipelineSpec
from pixmill.quantities import parse_count, scalar
from pixmill.references import Value


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Let errors say which file they are about."""
    try:
        yield
    except PixmillError as error:
        where = "stdin" if source == "-" else source
        raise type(error)(f"{where}: {error.message}", hint=error.hint) from None


def read_pipeline(source: str) -> PipelineSpec:
    """The pipeline of a file.  Raises UserError or SpecError that name the file."""
    documents = read_documents(source)
    with naming(source):
        return only_pipeline(documents, source)


def read_params(spec: PipelineSpec, pairs: Sequence[tuple[str, str]]) -> dict[str, Value]:
    """What --set gives, each as the type of its default.  Raises SpecError."""
    return {name: _value(name, text, spec.params.get(name)) for name, text in pairs}


def _value(name: str, text: str, default: Value | None) -> Value:
    if isinstance(default, str):
        return text
    if type(default) is int:
        try:
            return parse_count(text)
        except ValueError as error:
            raise SpecError(f"parameter {name!r}: {error}", hint=f"--set {name}={default}") from None
    return scalar(text)
