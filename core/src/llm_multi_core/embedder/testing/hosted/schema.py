"""Checks of a request's body against a documented schema, unknown fields included. Raises what a provider refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_multi_core.embedder.testing.hosted.wire import WireError

Kinds = type | tuple[type, ...]


def object_of(value: Any) -> dict[str, Any]:
    """A parsed body, if it is a JSON object.

    Raises:
        WireError: otherwise.
    """
    if not isinstance(value, dict):
        raise WireError(400, f"the body is a JSON {type(value).__name__}, not an object")
    return value


def check_fields(body: Mapping[str, Any], fields: Mapping[str, Kinds], required: tuple[str, ...] = ()) -> None:
    """Every field is known and of its type, and none is missing.

    Args:
        body: the object.
        fields: the documented fields with their types; JSON's `true` and `false` are no numbers.
        required: those that must be there.

    Raises:
        WireError: naming the field.
    """
    for name in required:
        if name not in body:
            raise WireError(400, f"Missing required parameter: '{name}'.", "missing_required_parameter")
    for name, value in body.items():
        if name not in fields:
            raise WireError(400, f"Unrecognized request argument supplied: {name}", "unknown_parameter")
        kinds = fields[name]
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise WireError(400, f"Invalid type for '{name}': got {type(value).__name__}.", "invalid_type")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """A value is one of few.

    Raises:
        WireError: naming the field and what it takes.
    """
    if value not in choices:
        allowed = ", ".join(map(repr, choices))
        raise WireError(
            400, f"Invalid value for '{name}': {value!r}. Supported values are: {allowed}.", "invalid_value"
        )
