"""An embedder, and the space that its vectors have to lie in.

The part of an adapter that knows when the model may be asked something: reading a local model's
identity hashes its weights, so nothing here happens before it is needed, nor on an event loop.
"""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.pipeline.runtime import runtime

EmbedderT = TypeVar("EmbedderT", bound=BaseEmbedder[Any] | MultiModalEmbedder)


class PinnedEmbedder(Generic[EmbedderT]):
    """Gives the embedder out once its space was found to be the expected one.

    A pickled or deep copy has no key, as the embedder itself, and looks at the space again.

    Args:
        embedder: what embeds.
        fingerprint: of the space that is expected, or `None` for whatever the model has.
        treatment: settings of the embedder that change vectors and are not in its encoder id.
    """

    def __init__(self, embedder: EmbedderT, fingerprint: str | None, treatment: str) -> None:
        self.embedder = embedder
        self.fingerprint = fingerprint
        self.treatment = treatment
        self._agrees = fingerprint is None

    def checked(self) -> EmbedderT:
        """The embedder.

        Raises:
            IncompatibleSpacesError: if its vectors lie in another space than the expected one.
            ModelLoadError: if there is an expected one, and the model cannot be read.
        """
        if not self._agrees:
            self._check()
        return self.embedder

    async def achecked(self) -> EmbedderT:
        """`checked` without blocking the event loop."""
        if not self._agrees:
            await runtime.in_thread(self._check)
        return self.embedder

    def cache_scope(self) -> str:
        """What two embedders have in common if one may take the other's vectors out of a cache.

        Raises:
            IncompatibleSpacesError: as `checked`.
            ModelLoadError: if the model cannot be read.
        """
        embedder = self.checked()
        return "\0".join((embedder.encoder_id, embedder.space.fingerprint, self.treatment))

    def _check(self) -> None:
        space = self.embedder.space
        if space.fingerprint != self.fingerprint:
            raise IncompatibleSpacesError(
                f"this embedding was made for the space with fingerprint {self.fingerprint}, but {self.embedder!r} now "
                f"gives vectors in {space}, whose fingerprint is {space.fingerprint}. Use the model and dimensions "
                "that the stored vectors were made with, or re-embed the documents with a new embedding without "
                "fingerprint=."
            )
        self._agrees = True

    def __reduce__(self) -> tuple[type[Self], tuple[EmbedderT, str | None, str]]:
        return type(self), (self.embedder, self.fingerprint, self.treatment)
