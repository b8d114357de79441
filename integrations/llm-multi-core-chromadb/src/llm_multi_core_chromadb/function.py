"""`MultiCoreEmbeddingFunction`: embedders of llm-multi-core behind Chroma's interface.

It converts types and calls the embedder. What it adds is what Chroma asks of a function that it keeps
the settings of: data without a key, from which it can be made again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from chromadb.api.types import EmbeddingFunction, Embeddings, Space
from chromadb.utils.embedding_functions import register_embedding_function

from llm_multi_core.embedder import (
    Audio,
    EmbedderError,
    Image,
    InvalidInputError,
    InvalidOptionError,
    MultiModalEmbedder,
    Text,
    VectorCache,
    create_multimodal_embedder,
)
from llm_multi_core.embedder.stores import PinnedEmbedder, refuse_grants, shared_embedder, stored_settings

logger = logging.getLogger(__name__)

NAME = "llm_multi_core"
"""Under which Chroma files it."""

_CHANGEABLE = frozenset({"batch_size", "device"})
"""Settings that change how fast vectors come, and not which."""


@register_embedding_function
class MultiCoreEmbeddingFunction(EmbeddingFunction[Any]):
    """Embeds documents and images with any frameworks of llm-multi-core, in Chroma; and sound, by URIs.

    Documents are embedded as documents and queries as queries, with the prompts that a model has for
    them. A document is always text: one that looks like a path or URL is not opened.

    Chroma keeps its settings with a collection, and makes it again from them when the collection is
    opened without one. They hold the fingerprint of the vector space and no key: another model is
    refused at first use, and the key is read from the environment.

    Args:
        text_framework: the framework for documents, such as `"sentence-transformers"`.
        image_framework: that for images.
        audio_framework: that for sound.
        framework: one for all modalities that its model embeds, such as `"clip"`.
        api_key: a hosted framework's key, or keys by framework name.
        cache: where llm-multi-core keeps vectors between calls.
        fingerprint: of the space that vectors must lie in.
        **settings: the other arguments of `create_multimodal_embedder`: `model`, `joint_framework`,
            `alignment`, `bridge`, `text`, `image`, `audio`, `device`, `dimensions`, `truncation`, ... Only
            alignments that are passed as paths, and bridges that are named, can be made again.

    Raises:
        FrameworkError: if a framework does not exist, is not installed, or is broken.
        InvalidOptionError: for settings that do not go together, or that a framework does not take.
        MissingCredentialsError: a hosted framework without a key.
    """

    def __init__(
        self,
        text_framework: str | None = None,
        image_framework: str | None = None,
        audio_framework: str | None = None,
        *,
        framework: str | None = None,
        api_key: str | Callable[[], str] | Mapping[str, Any] | Any = None,
        cache: VectorCache | None = None,
        fingerprint: str | None = None,
        **settings: Any,
    ) -> None:
        named = {
            "text_framework": text_framework,
            "image_framework": image_framework,
            "audio_framework": audio_framework,
            "framework": framework,
        }
        self._kept, arguments = stored_settings({**named, **settings})
        self._fingerprint = fingerprint
        self._pinned: PinnedEmbedder[MultiModalEmbedder] | None = PinnedEmbedder(
            create_multimodal_embedder(**arguments, api_key=api_key, cache=cache), fingerprint, ""
        )

    @property
    def embedder(self) -> MultiModalEmbedder:
        """The embedder behind this: its `space`, `joint_modalities`, `run_joint(inputs)` with reports.

        Raises:
            FrameworkError: of one that Chroma made, if a framework is not installed any more.
            InvalidOptionError: of one that Chroma made, if its settings cannot be made again.
            MissingCredentialsError: of one that Chroma made, without a key in the environment.
        """
        return self._made().embedder

    def __call__(self, input: Any) -> Embeddings:  # noqa: A002 - Chroma passes it by this name
        """The vectors of documents, images, or what a `MediaLoader` loaded: arrays `(d,)`, in order.

        Raises:
            InvalidInputError: naming the first, by its position, that cannot be embedded.
            IncompatibleSpacesError: if the model is not the one that the collection was filled by.
            EncodingError: if the model or provider failed.
        """
        return self._embed(input, "document")

    def embed_query(self, input: Any) -> Embeddings:  # noqa: A002 - Chroma passes it by this name
        """The vectors of queries; otherwise as for documents."""
        return self._embed(input, "query")

    # What Chroma keeps.

    @staticmethod
    def name() -> str:
        """The name under which Chroma files it."""
        return NAME

    def get_config(self) -> dict[str, Any]:
        """Its settings as data, with the fingerprint of its space, and without a key.

        Where the model cannot be read at this time there is no fingerprint, rather than an error, upon
        which Chroma would forget the function.
        """
        fingerprint = self._fingerprint
        if fingerprint is None and self._pinned is not None:
            try:
                fingerprint = self._pinned.embedder.space.fingerprint
            except EmbedderError as error:
                logger.warning("the collection is kept without the fingerprint of its space: %s", error)
        return self._kept if fingerprint is None else {**self._kept, "fingerprint": fingerprint}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> MultiCoreEmbeddingFunction:
        """A function of kept settings. Its embedder is made when it is first used.

        Raises:
            InvalidOptionError: if they hold a key, or grant code of a model's own or fetching, which only a
                user can.
        """
        MultiCoreEmbeddingFunction.validate_config(config)
        made = MultiCoreEmbeddingFunction.__new__(MultiCoreEmbeddingFunction)
        made._kept = {name: value for name, value in config.items() if name != "fingerprint"}
        made._fingerprint = config.get("fingerprint")
        made._pinned = None
        return made

    def default_space(self) -> Space:
        """How Chroma compares vectors, unless it is told otherwise."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """How Chroma may compare them."""
        return ["cosine", "l2", "ip"]

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Refuse settings under which vectors would be others than those of the collection.

        Raises:
            InvalidOptionError: naming them.
        """
        self.validate_config(new_config)
        names = sorted({*old_config, *new_config} - _CHANGEABLE)
        changed = [name for name in names if old_config.get(name) != new_config.get(name)]
        if changed:
            raise InvalidOptionError(
                f"{', '.join(changed)} cannot be changed: the collection's vectors were made otherwise. Make another "
                "collection and embed everything again."
            )

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Refuse what no collection may keep.

        Raises:
            InvalidOptionError: for what is no mapping of names, a key, or what only a user can grant.
        """
        if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
            raise InvalidOptionError(f"the settings of {NAME!r} are a mapping of names, not {type(config).__name__}")
        refuse_grants(config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._kept.items())})"

    def _made(self) -> PinnedEmbedder[MultiModalEmbedder]:
        if self._pinned is None:
            self._pinned = shared_embedder(self._kept, self._fingerprint)
        return self._pinned

    def _embed(self, inputs: Any, role: str) -> Embeddings:
        vectors = self._made().checked().embed_joint(wrapped(inputs), role)
        return list(vectors)


def wrapped(inputs: Any) -> list[Any]:
    """Chroma's documents, arrays of pixels, and what a `MediaLoader` gives, marked as what they are.

    Raises:
        InvalidInputError: if it is one input rather than several, or naming the first that is missing.
    """
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Sequence | np.ndarray):
        raise InvalidInputError(f"Chroma embeds lists of documents or images, not {type(inputs).__name__}")
    return [_wrapped(value, index) for index, value in enumerate(inputs)]


def _wrapped(value: Any, index: int) -> Any:
    if value is None:
        raise InvalidInputError("there is nothing to embed; its URI is missing", index=index)
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, np.ndarray):
        return Audio(value) if value.ndim == 1 else Image(value)
    return value
