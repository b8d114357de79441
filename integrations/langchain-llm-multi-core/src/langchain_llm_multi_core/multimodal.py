"""`MultiCoreMultiModalEmbeddings`: texts, images and sound in one space as a LangChain `Embeddings`."""

from __future__ import annotations

from typing import Any, Self

from langchain_llm_multi_core.media_roles import MediaBinding, MediaEmbeddings, OneRoleMediaEmbeddings
from langchain_llm_multi_core.namespaces import namespace
from llm_multi_core.embedder import InvalidOptionError, MultiModalEmbedder, Role, Task, create_multimodal_embedder
from llm_multi_core.embedder.media import MediaLibrary


class MultiCoreMultiModalEmbeddings(MediaEmbeddings):
    """A multimodal embedder of llm-multi-core for LangChain, so that one store serves all modalities.

    `embed_documents` embeds texts, and media that its library has registered under a reference.
    `embed_image`, `embed_audio` and `embed_media` embed media themselves. All vectors lie in the joint space
    of the embedder: a joint framework's, or one that an alignment or bridge leads into. Made without loading
    or sending anything; fixed once made, so that it can be shared by threads.

    Example:
        ```python
        embeddings = MultiCoreMultiModalEmbeddings(framework="clip")
        store = Chroma(embedding_function=embeddings)
        store.add_documents(MediaFolderLoader("photos", embeddings.library).load())
        ```

    Args:
        text_framework: the framework for texts, as in `create_multimodal_embedder`.
        image_framework: that for images.
        audio_framework: that for sound.
        embedder: an embedder that was made already, instead of all other arguments of one.
        library: which references stand for which media; by default an empty one in memory.
        show_progress: draw a progress bar while documents are embedded.
        **settings: the other arguments of `create_multimodal_embedder`: `framework`, `model`,
            `joint_framework`, `alignment`, `bridge`, `text`, `image`, `audio`, `device`, `dimensions`,
            `truncation`, `cache`, `api_key`, `allow_urls`, ...

    Raises:
        InvalidOptionError: for settings that do not go together, or that a framework does not take.
        FrameworkError: if a framework does not exist, is not installed, or is broken.
        MissingCredentialsError: a hosted framework without a key.
    """

    def __init__(
        self,
        text_framework: str | None = None,
        image_framework: str | None = None,
        audio_framework: str | None = None,
        *,
        embedder: MultiModalEmbedder | None = None,
        library: MediaLibrary | None = None,
        show_progress: bool = False,
        **settings: Any,
    ) -> None:
        named = {
            "text_framework": text_framework,
            "image_framework": image_framework,
            "audio_framework": audio_framework,
            **settings,
        }
        given = sorted(name for name, value in named.items() if value is not None)
        if embedder is None:
            embedder = create_multimodal_embedder(**named)
        elif given:
            raise InvalidOptionError(f"embedder= is made already; {given[0]}= is for making one")
        elif not isinstance(embedder, MultiModalEmbedder):
            raise InvalidOptionError(
                f"embedder= takes what create_multimodal_embedder makes, not {type(embedder).__name__}"
            )
        if library is not None and not isinstance(library, MediaLibrary):
            raise InvalidOptionError(f"library= takes a MediaLibrary, not {type(library).__name__}")
        if not isinstance(show_progress, bool):
            raise InvalidOptionError(f"show_progress={show_progress!r} is not True or False")
        self.__dict__["_binding"] = MediaBinding(
            embedder, MediaLibrary() if library is None else library, Role.DOCUMENT, Role.QUERY, show_progress
        )

    @property
    def show_progress(self) -> bool:
        """Whether a progress bar is drawn while documents are embedded."""
        return self._media_binding().show_progress

    # Other roles, caches.

    def as_document_role(self) -> OneRoleMediaEmbeddings:
        """A view whose `embed_query` embeds in the document role as well, references included.

        For code that stores what it embeds with `embed_query`.
        """
        return OneRoleMediaEmbeddings(self, Role.DOCUMENT)

    def as_symmetric(self) -> OneRoleMediaEmbeddings:
        """A view that embeds everything alike, as neither query nor document.

        For comparing entries with one another: similar pictures, clusters, duplicates.
        """
        return OneRoleMediaEmbeddings(self, Role.SYMMETRIC)

    def cache_namespace(self, role: str = "document") -> str:
        """The namespace under which a cache or store may keep the vectors of one role.

        Two namespaces are equal only if the vectors are: it changes with the models and options of all
        modalities, the alignments and bridges, and the role. No model is loaded. References hold the hash of
        what they stand for, so a changed picture has another key.

        Args:
            role: `"document"`, `"query"` or `"symmetric"`.

        Returns:
            Letters, digits and hyphens, with a hyphen at the end.

        Raises:
            InvalidOptionError: for a role that does not exist.
            IncompatibleSpacesError: if the embedder has no joint space.
        """
        checked = Task.of(role).role
        return namespace("multimodal", checked, [self.embedder.encoder_id])

    def _media_binding(self) -> MediaBinding:
        binding: MediaBinding = self.__dict__["_binding"]
        return binding

    # A value that is fixed once made.

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} cannot be set: {type(self).__name__} are fixed once made; make another")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} cannot be deleted: {type(self).__name__} are fixed once made")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        parts = [f"{name}={each.framework!r}" for name, each in self.embedder.embedders.items()]
        return f"{type(self).__name__}({', '.join(parts)})"
