"""One document becomes the jobs of an array: their seeds differ, or what holds `{index}`, or what is swept.

A document has `array` (`0-15%4`), or `sweep` (key → values) and maybe `array_limit`. Keys of a sweep are those of the
spec, or options of the preset.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, get_args

from client.documents import ARRAY_KEYS, parse_document
from pixmill.arrays import LARGEST_INDEX, ArrayRange, index_text, parse_array, parse_values, require_elements
from pixmill.errors import SpecError
from pixmill.names import suggestion
from pixmill.quantities import scalar
from pixmill.specs import KINDS, JobOptions

if TYPE_CHECKING:
    from pixmill.specs import Spec
    from scheduler.groups import Group

INDEX = "index"

_NOT_SWEPT = ("version", "kind", "options", "gates")
_ALIASES = {"from": "start_from"}  # flags whose fields have other names
_SAME_WORK = ("compress", "decompress")  # kinds of jobs in which nothing is drawn


@dataclass(frozen=True)
class _Element:
    """What one job of an array has of its own."""

    index: int
    values: Mapping[str, Any]  # by key of the sweep


def expanded(document: Mapping[str, Any]) -> "Group":
    """What a document asks for: one job, or those of an array.

    Raises SpecError, also where two jobs of an array would do the same work.
    """
    from scheduler.groups import Group

    plain = {key: value for key, value in document.items() if key not in ARRAY_KEYS}
    if not any(document.get(key) not in (None, {}) for key in ARRAY_KEYS):
        return Group(requests=[parse_document(plain)])
    if document.get("array") is not None and document.get("sweep"):
        raise SpecError(
            "an array or a sweep was asked for, not both at once",
            hint="sweep the seed too: --sweep seed=0..4; and --array-limit is for either",
        )
    array, elements = _elements(document, plain)
    key = plain.pop("key", None)
    shifts_seed = not document.get("sweep") and _shifts_seed(plain)
    requests = [parse_document(_document_of(plain, element, shifts_seed=shifts_seed)) for element in elements]
    _refuse_same_work(requests, [element.index for element in elements])
    if key is not None:
        parse_document({**_document_of(plain, elements[0], shifts_seed=False), "key": key})  # is it one?
    return Group(
        requests=requests,
        indices=[element.index for element in elements],
        limit=_limit(document) or array.limit,
        array_key=key,
    )


def _elements(document: Mapping[str, Any], plain: Mapping[str, Any]) -> tuple[ArrayRange, list[_Element]]:
    try:
        if document.get("sweep"):
            values = _swept(document["sweep"], plain)
            require_elements(prod(map(len, values.values())), "the sweep")
            combined = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
            return ArrayRange(range(len(combined))), [_Element(*pair) for pair in enumerate(combined)]
        if document.get("array") is None:
            raise SpecError("'array_limit' says how many jobs of an array run at once, and there is no array")
        array = parse_array(str(document["array"]))
    except ValueError as error:
        raise SpecError(f"{'sweep' if document.get('sweep') else 'array'}: {error}") from None
    return array, [_Element(index, {}) for index in array.indices]


def _limit(document: Mapping[str, Any]) -> int | None:
    limit = document.get("array_limit")
    if limit is not None and (type(limit) is not int or not 1 <= limit <= LARGEST_INDEX):
        raise SpecError(f"'array_limit' is {limit!r}: it is a whole number from 1 on")
    return limit


def _swept(sweep: object, plain: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Key → its values, each as a document has it.  Raises SpecError or ValueError."""
    if not isinstance(sweep, Mapping):
        raise SpecError("'sweep' holds no keys and values", hint="write sweep: {seed: 0..4}")
    known = _sweepable(plain)
    found: dict[str, list[Any]] = {}
    for name, listed in sweep.items():
        key = _ALIASES.get(str(name), str(name)).replace("-", "_")
        if key not in known:
            raise SpecError(f"sweep: unknown key '{name}'", hint=suggestion(key, known))
        if key in found:
            raise SpecError(f"sweep: '{name}' is swept twice", hint="give all its values at once, parted by commas")
        texts = parse_values(listed) if isinstance(listed, str) else listed
        values = texts if isinstance(texts, list) else [texts]
        if not values:
            raise SpecError(f"sweep: '{name}' has no values")
        found[key] = [_typed(key, value, plain) if isinstance(listed, str) else value for value in values]
    return found


def _sweepable(plain: Mapping[str, Any]) -> set[str]:
    """What can be swept in such a document: fields of the spec, and options of the preset."""
    kind = str(plain.get("kind"))
    if kind not in KINDS:
        parse_document(plain)  # says so
    known = set(KINDS[kind].model_fields) - set(_NOT_SWEPT)
    return known | _preset_options(plain) if kind == "train" else known


def _preset_options(plain: Mapping[str, Any]) -> set[str]:
    """Options of the document's preset; where that is swept or unknown, those of any: each job is checked later."""
    from imagemodels.presets import PRESETS

    name = str(plain.get("model"))
    presets = [PRESETS[name]] if name in PRESETS else PRESETS.values()
    return {field.name for preset in presets for field in fields(preset.options)}


def _typed(key: str, text: str, plain: Mapping[str, Any]) -> Any:
    """A value of the command line as a document has it: texts stay texts where the spec wants one."""
    field = KINDS[str(plain.get("kind"))].model_fields.get(key)
    if field is None:
        return scalar(text)
    wanted = set(_types_in(field.annotation))
    if list in wanted:
        return [text if str in wanted else scalar(text)]
    return text if str in wanted else scalar(text)


def _types_in(annotation: Any) -> Iterator[Any]:
    """All types that an annotation is made of; of a literal that of its values."""
    inner = get_args(annotation)
    origin = getattr(annotation, "__origin__", annotation)
    if origin is list:
        yield list
    if not inner:
        yield annotation if isinstance(annotation, type) else type(annotation)
    for one in inner:
        yield from _types_in(one)


def _document_of(plain: Mapping[str, Any], element: _Element, *, shifts_seed: bool) -> dict[str, Any]:
    """The document of one job."""
    known = {INDEX: element.index, **element.values}
    document = {key: _filled(value, known, as_text=_is_text(key, plain)) for key, value in plain.items()}
    own = KINDS[str(plain.get("kind"))].model_fields if plain.get("kind") in KINDS else {}
    for key, value in element.values.items():
        if key in own:
            document[key] = value
        else:
            document["options"] = {**document.get("options", {}), key: value}
    seed = plain.get("seed", 0)
    if shifts_seed and isinstance(seed, int):
        document["seed"] = seed + element.index
    if element.values:
        labels = {key: _label(value) for key, value in element.values.items()}
        document["labels"] = {**labels, **(document.get("labels") or {})}
    return document


def _is_text(key: str, plain: Mapping[str, Any]) -> bool:
    """Whether what stands under the key is texts, so that a number that is filled in is one, too."""
    field = KINDS[str(plain.get("kind"))].model_fields.get(key) if plain.get("kind") in KINDS else None
    return key != "options" and (field is None or str in _types_in(field.annotation))


def _filled(value: Any, known: Mapping[str, Any], *, as_text: bool) -> Any:
    """The JSON value with `{index}`, and the like for what is swept, filled in.

    Of what is no text by itself, one that is no more than that becomes the value.

    >>> _filled("{index}", {"index": 3}, as_text=False), _filled(["{index}"], {"index": 3}, as_text=True)
    (3, ['3'])
    >>> _filled("fold-{index}.{1..3}", {"index": 3}, as_text=True)
    'fold-3.{1..3}'
    """
    if isinstance(value, str):
        whole = value[1:-1] if value[:1] == "{" and value[-1:] == "}" else ""
        if whole in known and not as_text:
            return known[whole]
        return re.sub(r"\{(\w+)\}", lambda match: _label(known.get(match[1], match[0])), value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, known, as_text=as_text) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, known, as_text=as_text) for inner in value]
    return value


def _label(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_label, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shifts_seed(plain: Mapping[str, Any]) -> bool:
    """Whether the seed is what differs: nothing that says what is computed holds the index."""
    about = {key: value for key, value in plain.items() if key not in JobOptions.model_fields}
    return not _names_index(about)


def _names_index(value: Any) -> bool:
    if isinstance(value, str):
        return f"{{{INDEX}}}" in value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(map(_names_index, inner))


def _refuse_same_work(requests: "Sequence[tuple[Spec, JobOptions]]", indices: Sequence[int]) -> None:
    """Raise SpecError where two jobs would compute the same; a ping computes nothing."""
    seen: dict[str, int] = {}
    for (spec, _options), index in zip(requests, indices, strict=True):
        if spec.kind == "ping":
            return
        work = spec.model_copy(update={"seed": 0}) if _has_no_seed(spec) else spec
        other = seen.setdefault(work.digest(), index)
        if other != index:
            raise SpecError(
                f"elements {other} and {index} would do the same work"
                + (f": a {spec.kind} job like this does not depend on its seed" if work is not spec else ""),
                hint="let something else differ: --sweep KEY=A,B, or {index} in a name of a model or of data",
            )


def _has_no_seed(spec: "Spec") -> bool:
    """Whether nothing is drawn in such a job."""
    if spec.kind == "restore":
        return not spec.degrade
    if spec.kind == "edit":  # nothing but the images that the model makes
        return spec.dataset is not None or spec.way == "optimise"
    return spec.kind in _SAME_WORK


def varied(group: "Group") -> str:
    """What differs among the jobs of an array: "seeds 0-15", "learning_rate, seed"."""
    specs = [spec for spec, _options in group.requests]
    first = specs[0]
    found = [
        name for name in type(first).model_fields if any(getattr(spec, name) != getattr(first, name) for spec in specs)
    ]
    if found == ["seed"]:
        return f"seeds {index_text(sorted(spec.seed for spec in specs), most=5)}"
    if "options" in found:
        options = [getattr(spec, "options", {}) for spec in specs]
        names = {key for one in options for key in one if one.get(key) != options[0].get(key)}
        found = [name for name in found if name != "options"] + sorted(names)
    return ", ".join(found)
