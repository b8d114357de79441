"""Arguments on their way past pydantic, which must not see a key before it is masked.

A validation error of pydantic keeps the input that it is about, and hands it out in `errors()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from llm_multi_core.embedder import Secret


class Checked(dict[str, Any]):
    """Values for the fields, checked by the host, with the key masked."""


class HiddenArguments:
    """Arguments that nobody sees until they are taken out, which can be done once."""

    __slots__ = ("_arguments",)

    KEYWORD = "hidden_arguments"

    def __init__(self, arguments: Mapping[Any, Any]) -> None:
        self._arguments: dict[str, Any] = {str(name): value for name, value in arguments.items()}

    def take(self) -> dict[str, Any]:
        """The arguments; nothing is left behind."""
        arguments, self._arguments = self._arguments, {}
        return arguments

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> tuple[type[HiddenArguments], tuple[dict[str, Any]]]:
        return HiddenArguments, ({},)


def masked(api_key: Any) -> SecretStr | Secret | None:
    """A key that the host has checked, as something that does not print it.

    A string becomes a `SecretStr`, as LangChain's users expect; a callable, whose repr may show what
    it was made from, a `Secret`.
    """
    if api_key is None or isinstance(api_key, SecretStr | Secret):
        return api_key
    return SecretStr(api_key) if isinstance(api_key, str) else Secret(api_key)
