"""How a hosted framework finds its key, and how a key is kept from leaking.

`Credentials` is the declaration in a framework's specification; `Secret` carries a value that a
user passed. A provider's own chain (Azure, Vertex) is declared by name and read by its SDK.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from llm_multi_core.embedder.errors import MissingCredentialsError

_MASK = "**********"


class Secret:
    """A key that the user passed: a string, a `SecretStr`-like object, or a callable giving one.

    It is masked in `repr` and `str`, and refuses to be pickled, so that it cannot travel by
    accident. Equality is by value, so that equal keys share one client.
    """

    __slots__ = ("_source",)

    def __init__(self, source: str | Callable[[], str] | Any) -> None:
        if isinstance(source, Secret):
            source = source._source
        elif hasattr(source, "get_secret_value"):
            source = source.get_secret_value()
        if not isinstance(source, str) and not callable(source):
            raise TypeError(f"an API key is a string or a callable that returns one, not {type(source).__name__}")
        self._source: str | Callable[[], str] = source

    def reveal(self) -> str:
        """The key itself; a callable is called each time, so that it may rotate keys.

        Raises:
            MissingCredentialsError: if a callable fails, or gives no text.
        """
        if not callable(self._source):
            return self._source
        try:
            key: object = self._source()
        except Exception as error:  # noqa: BLE001 - of the user's; what it says may hold a key
            key = error
        if isinstance(key, Exception):  # told here and not in the handler, whose error would come along
            raise MissingCredentialsError(f"the callable given as api_key failed ({type(key).__name__})")
        if not isinstance(key, str):
            raise MissingCredentialsError(f"the callable given as api_key returned {type(key).__name__}, not str")
        return key

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._source == other._source

    def __hash__(self) -> int:
        return hash(self._source)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; the copy reads the environment again")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a hosted framework's key comes from when the user passes none.

    Attributes:
        variables: environment variables, tried in order at the time of a call.
        chain: name of the provider's own credential chain (`"azure"`, `"google-adc"`), which its
            SDK resolves; then a missing variable is no error.
        optional_with: options of the framework (`"base_url"`) that, when given, lead to a server that
            may ask for no key; then a missing one is no error either.
    """

    variables: tuple[str, ...]
    chain: str | None = None
    optional_with: tuple[str, ...] = ()

    def find(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The first non-blank variable's value, or `None`."""
        source = os.environ if environ is None else environ
        return next((value for name in self.variables if (value := source.get(name, "").strip())), None)

    def require(self, secret: Secret | None, framework: str, options: Mapping[str, Any] | None = None) -> str | None:
        """The key to use now: the passed one, else the environment's; `None` leaves it to the chain.

        Args:
            secret: what the user passed.
            framework: the framework's name.
            options: its options with their values, for those that make a key optional.

        Raises:
            MissingCredentialsError: naming the variables, if there is no key, and one is needed.
        """
        key = secret.reveal().strip() if secret is not None else self.find()  # files end in line breaks
        optional = any((options or {}).get(name) is not None for name in self.optional_with)
        if not key and self.chain is None and not optional:
            ways = "".join(f", or {name}= of a server that needs none" for name in self.optional_with)
            raise MissingCredentialsError(
                f"framework {framework!r} needs a key: pass api_key=... or set {' or '.join(self.variables)}{ways}"
            )
        return key or None
