"""What the encoders need of an SDK: one request, as plain data. Knows no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from llm_multi_core.embedder.inputs.encoded import EncodedMedia

Parts: TypeAlias = Sequence[str | EncodedMedia]
"""The parts of one input, which together give one vector."""


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What is asked for.

    Attributes:
        model: the model's name.
        contents: the inputs.
        task_type: for a model that knows task types.
        dimension: fewer components than the model's own.
    """

    model: str
    contents: Sequence[Parts]
    task_type: str | None = None
    dimension: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """What came back.

    Attributes:
        values: one vector per input, as the SDK gives them.
        tokens: what the service counted; 0 where it does not say.
        tokens_by_modality: the same apart (`"TEXT"`, `"IMAGE"`), where it says so.
    """

    values: Sequence[Any]
    tokens: int = 0
    tokens_by_modality: Mapping[str, int] = field(default_factory=dict)


class Transport(Protocol):
    """An SDK."""

    def load(self) -> None:
        """Import it.

        Raises:
            FrameworkUnavailableError: if it is not installed.
        """

    async def embed(self, key: str | None, request: EmbeddingRequest) -> EmbeddingReply:
        """Send one request with this key, or with the SDK's own credentials."""

    async def aclose(self) -> None:
        """Close its connections."""
