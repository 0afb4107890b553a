"""From plain JSON values to validated specs and options."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pixmill.errors import SpecError
from pixmill.names import suggestion
from pixmill.specs.base import SPEC_VERSION
from pixmill.specs.kinds import KINDS, Spec
from pixmill.specs.options import JobOptions
from pixmill.specs.refusals import refuse_nul, spec_error


def parse_spec(values: Mapping[str, Any]) -> Spec:
    """A validated spec from plain JSON values.

    Raises SpecError that names the key, what was found and what is allowed.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = "no 'kind'" if kind is None else f"unknown kind {kind!r}"
        raise SpecError(f"the spec has {found}", hint=suggestion(str(kind), KINDS))
    version = values.get("version", SPEC_VERSION)
    if version != SPEC_VERSION:
        raise SpecError(
            f"spec version {version!r} is not known; this pixmill reads version {SPEC_VERSION}",
            hint="upgrade pixmill on this host",
        )
    refuse_nul(values, f"{kind} spec")
    try:
        return KINDS[kind].model_validate(dict(values))
    except ValidationError as error:
        raise spec_error(error, KINDS[kind].model_fields, f"{kind} spec") from None


def parse_options(values: Mapping[str, Any]) -> JobOptions:
    """Validated queueing options; raises SpecError like `parse_spec`."""
    refuse_nul(values, "job options")
    try:
        return JobOptions.model_validate(dict(values))
    except ValidationError as error:
        raise spec_error(error, JobOptions.model_fields, "job options") from None


def split_document(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A spec document's keys, parted into those of the spec and those of `JobOptions`."""
    option_keys = JobOptions.model_fields.keys()
    spec = {key: value for key, value in values.items() if key not in option_keys}
    options = {key: value for key, value in values.items() if key in option_keys}
    return spec, options
