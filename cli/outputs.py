"""What a job has made: shards of a data set, or image files of their own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.output import can_animate
from client.outputs import Output, output_facts
from client.wording import count, size

if TYPE_CHECKING:
    from storage.verify import Progress


@contextmanager
def counting(title: str) -> Iterator["Progress | None"]:
    """What shows how far something is, on a terminal that can."""
    if not can_animate():
        yield None
        return
    from cli.bars import CountBar

    with CountBar(title) as bar:
        yield bar.show


def shown_facts(output: Output) -> dict[str, str]:
    """The same as people read it."""
    facts = output_facts(output)
    facts["size"] = size(facts.pop("size_bytes"))
    if "class_counts" in facts:
        facts["class_counts"] = ", ".join(f"{name} {count(number)}" for name, number in facts["class_counts"].items())
    if "choice" in facts:
        facts["choice"] = ", ".join(
            f"{name.replace('_', ' ')} {_plain(value)}" for name, value in facts["choice"].items()
        )
    if "choices" in facts:
        facts["choices"] = "; ".join(f"{name}: {_counted(found)}" for name, found in facts["choices"].items())
    facts["warnings"] = "; ".join(facts.get("warnings", ()))
    return {name.replace("_", " "): _text(value) for name, value in facts.items() if value != ""}


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " + ".join(map(_plain, value))
    is_digest = isinstance(value, str) and len(value) == 64  # of a model: its first digits tell it from others
    return f"{value:.8}" if is_digest else str(value)


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count(number)} {words.replace('_', ' ')}" for words, number in found.items() if number)


def _text(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def next_commands(output: Output) -> list[str]:
    """What may be done with it."""
    job_id = output.job_id
    judge = f"judge it:   pixmill submit evaluate --output {job_id}"
    export = f"copy it:    pixmill output export {job_id} --to FOLDER"
    decompress = f"decode it:  pixmill submit decompress --output {job_id}"
    query = f"look into:  pixmill output query {job_id}"
    of_kind = {"generate": [judge, query, export], "compress": [export, decompress]}
    return [*of_kind.get(output.kind, [export]), f"check it:   pixmill output verify {job_id}"]
