"""LangChain's four methods on top of an embedder, and views that give them other roles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from langchain_llm_multi_core.media_inputs import MediaQuery
from langchain_llm_multi_core.stamping import StampedEmbeddings
from langchain_llm_multi_core.vectors import ato_lists, to_lists
from llm_multi_core.embedder import InvalidInputError, Role, Space, TextEmbedder

if TYPE_CHECKING:
    from langchain_llm_multi_core.embeddings import MultiCoreEmbeddings


class Binding(NamedTuple):
    """What the four methods need: the embedder, and what each kind of text is to it."""

    embedder: TextEmbedder
    document_role: Role
    query_role: Role
    show_progress: bool


class RoleEmbeddings(StampedEmbeddings):
    """Embeddings whose subclasses say which embedder they use, and in which roles."""

    @abstractmethod
    def _binding(self) -> Binding:
        """The embedder and the roles."""

    @property
    def embedder(self) -> TextEmbedder:
        """The embedder itself: arrays, reports, streaming, dry runs."""
        return self._binding().embedder

    @property
    def space(self) -> Space:
        """Where the vectors lie. The model is looked at, but not loaded."""
        return self.embedder.space

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits; vectors of equal fingerprints may be compared."""
        return self.space.fingerprint

    def embed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """The vectors of texts to be found.

        Args:
            texts: a list or another ordered iterable of strings, not a single string. A string that
                looks like a path or URL is embedded as text like any other.

        Returns:
            `n` lists of `d` floats, in the order of the texts; `[]` for none.

        Raises:
            InvalidInputError: naming the first text that cannot be embedded.
            EncodingError: naming the texts on which the model or provider failed.
        """
        embedder, role, _, show_progress = self._binding()
        return to_lists(embedder.embed_batch(texts, role, show_progress))

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question or search phrase.

        Returns:
            `d` floats.

        Raises:
            InvalidInputError: if it cannot be embedded.
            EncodingError: if the model or provider failed.
        """
        embedder, _, role, _ = self._binding()
        vector: list[float] = embedder.embed(_text(text), role).tolist()
        return vector

    async def aembed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """`embed_documents` without blocking the event loop."""
        embedder, role, _, show_progress = self._binding()
        return await ato_lists(await embedder.aembed_batch(texts, role, show_progress))

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` without blocking the event loop."""
        embedder, _, role, _ = self._binding()
        vector: list[float] = (await embedder.aembed(_text(text), role)).tolist()
        return vector


def _text(query: str) -> str:
    if isinstance(query, MediaQuery):  # whose words are a mere name
        raise InvalidInputError("a picture or sound as a query needs MultiCoreMultiModalEmbeddings")
    return query


class OneRoleEmbeddings(RoleEmbeddings):
    """A view of other embeddings that treats queries and documents alike.

    For code that calls `embed_query` for what it stores as well (mem0 does), or that compares
    documents with one another. Shares the embedder, and with it the model, with the original.

    Made by `MultiCoreEmbeddings.as_document_role` and `as_symmetric`.

    Attributes:
        embeddings: what this is a view of.
        role: the role of every text.
    """

    def __init__(self, embeddings: MultiCoreEmbeddings, role: Role) -> None:
        self.embeddings = embeddings
        self.role = role

    def _binding(self) -> Binding:
        return Binding(self.embeddings.embedder, self.role, self.role, self.embeddings.show_progress)

    def cache_namespace(self) -> str:
        """The namespace of this view's vectors in a cache or store; see `MultiCoreEmbeddings`.

        Since there is one role only, it is safe for queries and documents together.
        """
        return self.embeddings.cache_namespace(self.role)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OneRoleEmbeddings):
            return NotImplemented
        return self.role == other.role and self.embeddings == other.embeddings

    def __hash__(self) -> int:
        return hash((self.role, self.embeddings))

    def __repr__(self) -> str:
        return f"OneRoleEmbeddings({self.embeddings!r}, role={str(self.role)!r})"
