"""Every error and warning that the library raises on purpose.

    EmbedderError
    ├── InvalidInputError             (ValueError)    one input cannot be embedded; has .index
    │   └── TruncationError                           it is too long and truncation="error"
    ├── InvalidOptionError            (ValueError)    a setting that the framework does not take
    │   └── UnsupportedDimensionsError                dimensions= that the model cannot give
    ├── FrameworkError
    │   ├── UnknownFrameworkError     (LookupError)   no such name
    │   ├── AmbiguousFrameworkError   (LookupError)   two distributions offer the name
    │   ├── FrameworkUnavailableError (ImportError)   its plugin or a requirement is not installed
    │   └── PluginError               (ImportError)   its plugin is installed and broken
    ├── MissingCredentialsError       (LookupError)   no key given and none in the environment
    ├── ModelLoadError                (OSError)       weights or configuration cannot be read
    │   └── UntrustedCodeError        (PermissionError)  the model wants to run code of its own
    ├── EncodingError                 (RuntimeError)  the model or provider failed; has .indices
    │   ├── InvalidOutputError        (ValueError)    wrong count, wrong dimension, NaN, zero vector
    │   ├── EncoderMemoryError        (MemoryError)   does not fit into memory even one by one
    │   ├── ProviderError                             a hosted provider refused or failed; has .status
    │   │   └── AccessDeniedError     (PermissionError)  it refused the key
    │   └── BatchError                                a hosted call ended early; has .vectors, .ok
    ├── IncompatibleSpacesError       (ValueError)    vectors of two spaces were to be compared
    └── ClosedError                   (RuntimeError)  the embedder was closed

    EmbedderWarning                   (UserWarning)
    ├── TruncationWarning                             inputs were cut to the model's limit
    └── PluginWarning                                 an installed plugin was set aside

No message, repr or pickle of these holds a key. All of them survive pickling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from llm_multi_core.embedder.pipeline.report import EmbeddingResult
    from llm_multi_core.embedder.rows import FloatArray


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    maker = OSError if issubclass(cls, OSError) else cls  # whose layout no other built-in can make
    error = maker.__new__(cls, *args)
    error.args = args
    if isinstance(error, ImportError):  # keeps its message apart from the arguments
        ImportError.__init__(error, *args)
    error.__dict__.update(state)
    return error


class EmbedderError(Exception):
    """Root of the library's errors."""

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[Any, ...]]:
        # BaseException would call the class with .args, which fails for keyword-only arguments.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class InvalidInputError(EmbedderError, ValueError):
    """One input cannot be embedded.

    `index` is its position in the call, or `None` for a call with a single input; `reason` is the
    message without the position.
    """

    def __init__(self, reason: str, *, index: int | None = None) -> None:
        super().__init__(reason if index is None else f"input {index}: {reason}")
        self.reason = reason
        self.index = index

    def at(self, index: int) -> InvalidInputError:
        """The same error for the input at `index`."""
        return type(self)(self.reason, index=index)


class TruncationError(InvalidInputError):
    """An input is longer than the model takes, and `truncation="error"` was asked for."""


class InvalidOptionError(EmbedderError, ValueError):
    """A setting is unknown, of the wrong type, or not for this framework."""


class UnsupportedDimensionsError(InvalidOptionError):
    """The model cannot give vectors of the dimension asked for."""


class FrameworkError(EmbedderError):
    """A framework cannot be used."""


class UnknownFrameworkError(FrameworkError, LookupError):
    """No framework has this name for this modality."""


class AmbiguousFrameworkError(FrameworkError, LookupError):
    """Several distributions offer this name; write `distribution/name`."""


class FrameworkUnavailableError(FrameworkError, ImportError):
    """The framework is known, but its plugin or one of its requirements is not installed."""


class PluginError(FrameworkError, ImportError):
    """A plugin is installed but broken; `__cause__` is what it raised."""


class MissingCredentialsError(EmbedderError, LookupError):
    """A hosted framework has no key: none was passed and its environment variables are unset."""


class ModelLoadError(EmbedderError, OSError):
    """A model's weights or configuration cannot be found, read or trusted."""

    def __str__(self) -> str:  # OSError with two arguments would print "[Errno ...]"
        return str(self.args[0]) if self.args else ""


class UntrustedCodeError(ModelLoadError, PermissionError):
    """The model needs code of its own to be run; pass `trust_remote_code=True` to allow that."""


class EncodingError(EmbedderError, RuntimeError):
    """The model or the provider failed on these inputs.

    `indices` are positions in the call (several if duplicates or a whole batch are affected).
    """

    def __init__(self, message: str, *, indices: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.indices = tuple(indices)


class InvalidOutputError(EncodingError, ValueError):
    """An encoder returned something other than one finite, non-zero row per input."""


class EncoderMemoryError(EncodingError, MemoryError):
    """The encoder ran out of memory; batches are halved down to one item before this is raised."""


class ProviderError(EncodingError):
    """A hosted provider refused a request, or failed for good.

    `status` is the HTTP status and `request_id` what the provider calls the request, where they are
    known. What its SDK raised is not attached, since it may carry the key; `__cause__` repeats its text
    and traceback with keys masked.
    """

    def __init__(
        self, message: str, *, indices: Sequence[int] = (), status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, indices=indices)
        self.status = status
        self.request_id = request_id

    def about(self, message: str, indices: Sequence[int]) -> ProviderError:
        """The same error, told of certain inputs."""
        told = type(self)(message, indices=indices, status=self.status, request_id=self.request_id)
        told.__cause__ = self.__cause__
        return told


class AccessDeniedError(ProviderError, PermissionError):
    """The provider refused the key, or what the key may do."""

    def __str__(self) -> str:  # OSError with two arguments would print "[Errno ...]"
        return str(self.args[0]) if self.args else ""


class BatchError(EncodingError):
    """A call to a hosted provider ended early, after some of its vectors were made.

    `result` is an `EmbeddingResult` over the inputs that the call had come to, with NaN rows for those
    that have no vector; `vectors` and `ok` are its. `__cause__` is the error that ended the call. Go on
    with the inputs that are not `ok`, or pass `cache=` and call again: what was paid for is in it.
    """

    def __init__(self, message: str, *, indices: Sequence[int] = (), result: EmbeddingResult) -> None:
        super().__init__(message, indices=indices)
        self.result = result

    @property
    def vectors(self) -> FloatArray:
        """`(n, d)` float32; the row of an input without a vector is NaN."""
        return self.result.vectors

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """`(n,)`: whether each input has a vector."""
        return self.result.ok


class IncompatibleSpacesError(EmbedderError, ValueError):
    """Vectors of two different spaces were to be compared."""


class ClosedError(EmbedderError, RuntimeError):
    """The embedder was closed."""


class EmbedderWarning(UserWarning):
    """Root of the library's warnings."""


class TruncationWarning(EmbedderWarning):
    """Inputs were cut to the model's limit; the report says which and by how much."""


class PluginWarning(EmbedderWarning):
    """An installed plugin is broken and was set aside."""
