"""A framework's own options, which LlamaIndex's users pass as plain keywords or as a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core.embedder.settings import COMMON_SETTINGS


def framework_options(options: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The framework's options from both places, sorted, so that equal ones print the same.

    Raises:
        InvalidOptionError: if `options` is no mapping, names a setting that every framework has, or
            differs from a keyword.
    """
    given = {} if options is None else options
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidOptionError(f"options= takes a mapping of names to values, not {type(given).__name__}")
    for name in given.keys() & keywords.keys():
        if given[name] != keywords[name]:
            raise InvalidOptionError(f"{name} was given twice, in options= and as a keyword, with two values")
    chosen = dict(sorted({**given, **keywords}.items()))
    for name in ("framework", "host", *COMMON_SETTINGS):
        if name in chosen:
            raise InvalidOptionError(f"{name!r} is no option of a framework, and options= is for those only")
    return chosen
