"""The limits of a hosted encoder as they apply to a user: the catalogue's, with what the user knows better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from llm_multi_core.embedder.encoders import Limits
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.frameworks import nearest

SETTABLE = frozenset(field.name for field in fields(Limits)) - {"unit", "padded", "truncates", "accepts_empty"}
"""What the option `limits` may hold; the rest is no matter of opinion."""
_UNBOUNDED = frozenset(
    {"units_per_item", "units_per_batch", "bytes_per_batch", "requests_per_minute", "units_per_minute"}
)
"""Limits that may be `None`."""


def check_limits(framework: str, given: Any) -> None:
    """Refuse what is no set of limits.

    Raises:
        InvalidOptionError: naming what is wrong.
    """
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise InvalidOptionError(f"limits= of framework {framework!r} takes a dict, not {type(given).__name__}")
    for name, value in given.items():
        if name not in SETTABLE:
            known = ", ".join(sorted(SETTABLE))
            hint = nearest(str(name), SETTABLE)
            raise InvalidOptionError(f"limits= of framework {framework!r} has no {name!r}{hint} (it has: {known})")
        kinds = (int, float) if name == "slack" else (int,)
        fits = isinstance(value, kinds) and not isinstance(value, bool) and value >= 1
        if not fits and not (value is None and name in _UNBOUNDED):
            raise InvalidOptionError(f"limits= of framework {framework!r}: {name}={value!r} is not a positive number")


def effective_limits(limits: Limits, given: Mapping[str, Any] | None) -> Limits:
    """The limits with the user's own; no request is larger than what a minute allows."""
    own = replace(limits, padded=False, **(given or {}))
    bounds = [bound for bound in (own.units_per_batch, own.units_per_minute) if bound is not None]
    return replace(own, units_per_batch=min(bounds, default=None))
