"""Pipelines from files: their steps read like jobs, and errors that name the file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cli.joboptions import scalar
from client.documents import read_documents, readable
from pixmill.errors import PixmillError, SpecError
from pixmill.pipelines import PIPELINE, PipelineSpec, is_pipeline, parse_pipeline
from pixmill.quantities import parse_count
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
        if len(documents) > 1:
            raise SpecError(f"it holds {len(documents)} documents, and a pipeline is one", hint="part the file")
        if not is_pipeline(documents[0]):
            kind = documents[0].get("kind")
            raise SpecError(
                f"it is of kind {kind}, not a pipeline",
                hint=f"pixmill submit -f {source}, or begin it with kind: {PIPELINE}",
            )
        return pipeline_of(documents[0])


def pipeline_of(document: Mapping[str, Any]) -> PipelineSpec:
    """The pipeline of a document; counts may be written like 10k, time spans like 2h.  Raises SpecError."""
    steps = document.get("steps")
    if not isinstance(steps, Mapping):
        return parse_pipeline(document)
    read = {name: readable(step) if isinstance(step, Mapping) else step for name, step in steps.items()}
    return parse_pipeline({**document, "steps": read})


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
