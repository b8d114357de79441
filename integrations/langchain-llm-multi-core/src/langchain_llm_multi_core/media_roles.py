"""LangChain's methods, and those for media, on top of a multimodal embedder; and views with one role."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_llm_multi_core.media_inputs import MediaInput, MediaQuery, media_input, media_inputs, text_inputs
from langchain_llm_multi_core.stamping import StampedEmbeddings
from langchain_llm_multi_core.vectors import ato_lists, to_lists
from llm_multi_core.embedder import Audio, Image, MultiModalEmbedder, Role, Space, Text
from llm_multi_core.embedder.media import MediaLibrary
from llm_multi_core.embedder.pipeline.runtime import runtime

if TYPE_CHECKING:
    from langchain_llm_multi_core.multimodal import MultiCoreMultiModalEmbeddings


class MediaBinding(NamedTuple):
    """What the methods need: the embedder, the library, and what each kind of input is to it."""

    embedder: MultiModalEmbedder
    library: MediaLibrary
    document_role: Role
    query_role: Role
    show_progress: bool


class MediaEmbeddings(StampedEmbeddings):
    """Embeddings of texts, images and sound in one space, whose subclasses say with what, and in which roles."""

    @abstractmethod
    def _media_binding(self) -> MediaBinding:
        """The embedder, the library and the roles."""

    @property
    def embedder(self) -> MultiModalEmbedder:
        """The embedder itself: arrays, reports, streaming."""
        return self._media_binding().embedder

    @property
    def library(self) -> MediaLibrary:
        """Which references stand for which media."""
        return self._media_binding().library

    @property
    def space(self) -> Space:
        """Where the vectors lie. The models are looked at, but not loaded.

        Raises:
            IncompatibleSpacesError: if no two modalities share one, with the ways to get one.
        """
        return self.embedder.space

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits; vectors of equal fingerprints may be compared."""
        return self.space.fingerprint

    # Texts, and references to media.

    def embed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """The vectors of texts, and of media that stand among them by reference.

        Args:
            texts: a list or another ordered iterable of strings. One that the library has registered is
                embedded as the picture or sound that it stands for; every other is a text, and a path or
                URL is opened for none of them.

        Returns:
            `n` lists of `d` floats, in order; `[]` for none.

        Raises:
            InvalidInputError: naming the first that cannot be embedded, such as a reference whose file is gone.
            IncompatibleSpacesError: if a modality does not reach the joint space.
            EncodingError: naming the inputs on which a model or provider failed.
        """
        binding = self._media_binding()
        return self._embedded(text_inputs(texts, binding.library), binding.document_role)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question or search phrase; a string is always a text, even one of a reference's form.

        Args:
            text: the text, or a `MediaQuery` for the picture or sound that it carries.

        Returns:
            `d` floats.

        Raises:
            InvalidInputError: if it cannot be embedded.
            EncodingError: if the model or provider failed.
        """
        if isinstance(text, MediaQuery):
            return self.embed_media_query(text)
        return self._embedded([Text(text)], self._media_binding().query_role)[0]

    async def aembed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """`embed_documents` without blocking the event loop."""
        binding = self._media_binding()
        inputs = await runtime.in_thread(text_inputs, texts, binding.library)
        return await self._aembedded(inputs, binding.document_role)

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` without blocking the event loop."""
        if isinstance(text, MediaQuery):
            return await self.aembed_media_query(text)
        return (await self._aembedded([Text(text)], self._media_binding().query_role))[0]

    # Media.

    def embed_image(self, uris: Sequence[Any], role: str | None = None) -> list[list[float]]:
        """The vectors of images, as stores ask for them (`add_images`).

        Args:
            uris: paths, `file:` or `data:` URLs, `http(s):` URLs if the embedder allows them, or anything else
                that an image embedder takes.
            role: `"query"` for images to search with; by default they are documents.

        Returns:
            `n` lists of `d` floats.

        Raises:
            InvalidInputError: naming the first that cannot be embedded.
            IncompatibleSpacesError: if images do not reach the joint space.
        """
        return self._embedded([Image(uri) for uri in uris], self._role(role))

    def embed_audio(self, uris: Sequence[Any], role: str | None = None) -> list[list[float]]:
        """The vectors of recordings, each whole; otherwise as `embed_image`."""
        return self._embedded([Audio(uri) for uri in uris], self._role(role))

    def embed_media(self, media: Iterable[MediaInput], role: str | None = None) -> list[list[float]]:
        """The vectors of media of any kind, and of texts among them.

        Args:
            media: blobs, documents, records, bytes, paths, PIL images, arrays, `Text`, `Image`, `Audio` or items.
                Documents and records must be registered in the library.
            role: `"query"` for media to search with; by default they are documents.

        Returns:
            `n` lists of `d` floats, in order; `[]` for none.

        Raises:
            InvalidInputError: naming the first that cannot be embedded.
            IncompatibleSpacesError: if a modality does not reach the joint space.
        """
        return self._embedded(media_inputs(media, self.library), self._role(role))

    def embed_media_query(self, media: MediaInput) -> list[float]:
        """The vector of a picture or sound to search with; otherwise as `embed_media`."""
        return self._embedded([media_input(media, self.library)], self._media_binding().query_role)[0]

    async def aembed_image(self, uris: Sequence[Any], role: str | None = None) -> list[list[float]]:
        """`embed_image` without blocking the event loop."""
        return await self._aembedded([Image(uri) for uri in uris], self._role(role))

    async def aembed_audio(self, uris: Sequence[Any], role: str | None = None) -> list[list[float]]:
        """`embed_audio` without blocking the event loop."""
        return await self._aembedded([Audio(uri) for uri in uris], self._role(role))

    async def aembed_media(self, media: Iterable[MediaInput], role: str | None = None) -> list[list[float]]:
        """`embed_media` without blocking the event loop."""
        inputs = await runtime.in_thread(media_inputs, media, self.library)
        return await self._aembedded(inputs, self._role(role))

    async def aembed_media_query(self, media: MediaInput) -> list[float]:
        """`embed_media_query` without blocking the event loop."""
        one = await runtime.in_thread(media_input, media, self.library)
        return (await self._aembedded([one], self._media_binding().query_role))[0]

    # How it is done.

    def _role(self, role: str | None) -> str:
        """The role that was asked for, as far as there is a choice."""
        binding = self._media_binding()
        one_role = binding.document_role == binding.query_role
        return binding.document_role if role is None or one_role else role

    def _embedded(self, inputs: list[Any], role: str) -> list[list[float]]:
        binding = self._media_binding()
        show = binding.show_progress and role == binding.document_role
        return to_lists(binding.embedder.embed_joint(inputs, role, show))

    async def _aembedded(self, inputs: list[Any], role: str) -> list[list[float]]:
        binding = self._media_binding()
        show = binding.show_progress and role == binding.document_role
        return await ato_lists(await binding.embedder.aembed_joint(inputs, role, show))


class OneRoleMediaEmbeddings(MediaEmbeddings):
    """A view of other embeddings that treats queries and documents alike.

    For code that calls `embed_query` for what it stores as well, or that compares entries with one another.
    `embed_query` takes references here too. Shares the embedder and the library with the original.

    Made by `MultiCoreMultiModalEmbeddings.as_document_role` and `as_symmetric`.

    Attributes:
        embeddings: what this is a view of.
        role: the role of every input.
    """

    def __init__(self, embeddings: MultiCoreMultiModalEmbeddings, role: Role) -> None:
        self.embeddings = embeddings
        self.role = role

    def embed_query(self, text: str) -> list[float]:
        """The vector that `embed_documents` gives of the same text, or that of the media of a `MediaQuery`."""
        return self.embed_media_query(text) if isinstance(text, MediaQuery) else self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` without blocking the event loop."""
        if isinstance(text, MediaQuery):
            return await self.aembed_media_query(text)
        return (await self.aembed_documents([text]))[0]

    def cache_namespace(self) -> str:
        """The namespace of this view's vectors in a cache or store, safe for queries and documents together."""
        return self.embeddings.cache_namespace(self.role)

    def _media_binding(self) -> MediaBinding:
        return self.embeddings._media_binding()._replace(document_role=self.role, query_role=self.role)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OneRoleMediaEmbeddings):
            return NotImplemented
        return self.role == other.role and self.embeddings == other.embeddings

    def __hash__(self) -> int:
        return hash((self.role, self.embeddings))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embeddings!r}, role={str(self.role)!r})"
