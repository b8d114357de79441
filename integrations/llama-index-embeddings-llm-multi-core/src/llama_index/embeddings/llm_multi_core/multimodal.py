"""`MultiCoreMultiModalEmbedding`: texts, images and sound of one index, behind LlamaIndex's interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.schema import BaseNode
from pydantic import Field, PrivateAttr

from llama_index.embeddings.llm_multi_core.adapted import LARGEST_BATCH
from llama_index.embeddings.llm_multi_core.entries import as_own_source
from llama_index.embeddings.llm_multi_core.inputs import TextInput
from llama_index.embeddings.llm_multi_core.media_batches import MediaBatches
from llama_index.embeddings.llm_multi_core.nodes import node_inputs, text_inputs
from llama_index.embeddings.llm_multi_core.options import framework_options
from llm_multi_core.embedder import (
    InvalidOptionError,
    Modality,
    MultiModalEmbedder,
    VectorCache,
    create_multimodal_embedder,
)
from llm_multi_core.embedder.media import MediaLibrary
from llm_multi_core.embedder.pipeline.call import TruncationPolicy
from llm_multi_core.embedder.stores import PinnedEmbedder, alignments_of, bridge_settings, modality_settings

dispatcher = get_dispatcher(__name__)


class MultiCoreMultiModalEmbedding(MediaBatches):
    """Embeds texts, images and sound into one space, with any frameworks of llm-multi-core, in LlamaIndex.

    Either one `framework` that embeds several modalities into one space, or a framework for each, joined
    by `joint_framework`, `alignment` or `bridge`. Models load, once, at their first use.

    Called with nodes, as pipelines do, it embeds media by their files: an `ImageNode` with a path, a node
    with an image or audio resource, and whatever else has the metadata of `MultiCoreReader`. Such nodes
    have the `sha256` of their file in their metadata; `with_media_metadata` adds it to others. Nothing is
    fetched, and no path in a text is opened.

    Indexes hand over the texts of nodes alone. A text that is the reference of media which `library` knows
    is embedded as those media; one that it does not know is refused.

    Args:
        text_framework: the framework for texts.
        image_framework: that for images.
        audio_framework: that for sound.
        framework: one for all modalities that its model embeds, such as `"clip"`.
        model_name: its model; `None` is the framework's default.
        model: the same as `model_name`.
        joint_framework: a framework that serves several modalities in one space.
        joint_model: its model.
        alignment: maps between spaces, fitted from pairs: an `Alignment`, the path of a saved one, or a
            list. Only saved ones can be read back from `to_dict`.
        bridge: what puts media into words, by modality: a framework's name, a `Bridge`, or a function.
        text: settings of the text embedder only, such as `{"model": ...}`, and its framework's own options.
        image: those of the image embedder.
        audio: those of the audio embedder.
        device: `"cpu"`, `"cuda"`, `"mps"`; `None` picks the best one.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`.
        dimensions: with `framework`: fewer components than the model's own.
        truncation: what to do with inputs beyond a model's limit: `"warn"`, `"error"`, `"truncate"`, `"mean"`.
        batch_size: at most this many inputs in one batch of a model.
        allow_urls: fetch http(s) URLs that the methods for images and sound are called with, though never
            from addresses that are not public.
        cache: where llm-multi-core keeps vectors between calls, such as `MemoryCache()`.
        api_key: a hosted framework's key, or keys by framework name. It is no field: nothing prints or
            stores it.
        library: the media whose references are embedded as media; by default an empty one of its own.
        options: with `framework`: its own options. They may also be given as keywords.
        fingerprint: of the space that vectors must lie in, as `to_dict` has it.
        embed_batch_size: inputs that are planned together, at most 2048.
        **extra: the fields of LlamaIndex's `BaseEmbedding`, and the framework's own options.

    Raises:
        FrameworkError: as for `MultiCoreEmbedding`, naming the modality.
        InvalidOptionError: for settings that do not go together, or that a framework does not take.
        MissingCredentialsError: a hosted framework without a key.
    """

    text_framework: str | None = Field(default=None, frozen=True, description="For texts.")
    image_framework: str | None = Field(default=None, frozen=True, description="For images.")
    audio_framework: str | None = Field(default=None, frozen=True, description="For sound.")
    framework: str | None = Field(default=None, frozen=True, description="One for all modalities.")
    joint_framework: str | None = Field(default=None, frozen=True, description="One that joins modalities.")
    joint_model: str | None = Field(default=None, frozen=True, description="Its model.")
    alignment: list[dict[str, str | None]] = Field(
        default_factory=list, frozen=True, description="Fingerprints of the maps between spaces, and their files."
    )
    bridge: dict[str, Any] = Field(default_factory=dict, frozen=True, description="What puts media into words.")
    text: dict[str, Any] = Field(default_factory=dict, frozen=True, description="Settings for texts only.")
    image: dict[str, Any] = Field(default_factory=dict, frozen=True, description="Settings for images only.")
    audio: dict[str, Any] = Field(default_factory=dict, frozen=True, description="Settings for sound only.")
    device: str | None = Field(default=None, frozen=True, description="Where local models run; None: the best.")
    precision: str = Field(default="auto", frozen=True, description="What local models compute in.")
    dimensions: int | None = Field(default=None, frozen=True, description="Components of a vector; None: all.")
    truncation: TruncationPolicy = Field(default="warn", frozen=True, description="What to do with too long inputs.")
    batch_size: int | None = Field(default=None, frozen=True, description="Most inputs in one batch of a model.")
    allow_urls: bool = Field(default=False, frozen=True, description="Whether URLs of media are fetched.")
    options: dict[str, Any] = Field(default_factory=dict, frozen=True, description="The framework's own options.")

    _library: MediaLibrary = PrivateAttr()

    def __init__(
        self,
        text_framework: str | None = None,
        image_framework: str | None = None,
        audio_framework: str | None = None,
        *,
        framework: str | None = None,
        model_name: str | None = None,
        model: str | None = None,
        joint_framework: str | None = None,
        joint_model: str | None = None,
        alignment: Any = None,
        bridge: Mapping[str, Any] | None = None,
        text: Mapping[str, Any] | None = None,
        image: Mapping[str, Any] | None = None,
        audio: Mapping[str, Any] | None = None,
        device: str | None = None,
        precision: str = "auto",
        dimensions: int | None = None,
        truncation: TruncationPolicy = "warn",
        batch_size: int | None = None,
        allow_urls: bool = False,
        cache: VectorCache | None = None,
        api_key: str | Callable[[], str] | Mapping[str, Any] | Any = None,
        library: MediaLibrary | None = None,
        options: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
        embed_batch_size: int = LARGEST_BATCH,
        **extra: Any,
    ) -> None:
        for name in ("class_name", "encoder_id"):  # of a dictionary that `to_dict` made
            extra.pop(name, None)
        own = {name: extra.pop(name) for name in list(extra) if name in type(self).model_fields}
        if model is not None and model_name is not None and model != model_name:
            raise InvalidOptionError(f"model={model!r} and model_name={model_name!r} name two models; pass one")
        chosen_model = model if model is not None else model_name
        chosen = framework_options(options, extra)
        named: dict[str, Any] = {
            "text_framework": text_framework,
            "image_framework": image_framework,
            "audio_framework": audio_framework,
            "framework": framework,
            "joint_framework": joint_framework,
            "joint_model": joint_model,
            "device": device,
            "precision": precision,
            "dimensions": dimensions,
            "truncation": truncation,
            "batch_size": batch_size,
            "allow_urls": allow_urls,
        }
        apart = modality_settings(text=text, image=image, audio=audio)
        maps, alignment_fields = alignments_of(alignment)
        fields: dict[str, Any] = {
            **apart,
            "alignment": alignment_fields,
            "bridge": bridge_settings(bridge),
            "options": chosen,
            "fingerprint": fingerprint,
            "embed_batch_size": embed_batch_size,
        }
        settings: dict[str, Any] = {name: value or None for name, value in apart.items()}
        # First, and with the host's own errors: pydantic's hold what was passed, and no key may get into one.
        embedder = create_multimodal_embedder(
            **named,
            **settings,
            model=chosen_model if framework is not None else None,
            alignment=maps or None,
            bridge=bridge or None,
            cache=cache,
            api_key=api_key,
            **chosen,
        )
        fields["model_name"] = _described(embedder, framework)
        if framework is None and chosen_model is not None and not _is_description(chosen_model):
            embedder.close()
            raise InvalidOptionError(
                f"model_name={chosen_model!r} goes with framework=; for one of several frameworks pass text=, image= "
                "or audio= as {'model': ...}"
            )
        super().__init__(**named, **fields, **own)
        self._library = MediaLibrary() if library is None else library
        treatment = " ".join([truncation, *(f"{name}={value}" for name, value in apart.items())])
        self._adopt(PinnedEmbedder(embedder, fingerprint, treatment))

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex files serialised copies."""
        return "MultiCoreMultiModalEmbedding"

    @property
    def library(self) -> MediaLibrary:
        """The media whose references are embedded as media; hand it to a `MultiCoreReader`."""
        return self._library

    # Nodes.

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Give each node the vector of what it holds: of its media's file, else of its text with metadata.

        Nothing else of the nodes is changed, and nothing at all if one of them fails.

        Returns:
            The nodes as they go into a store: those of `MultiCoreReader` that have no source have themselves
            as that, so that stores can delete them by it when their file was changed.

        Raises:
            InvalidInputError: naming the first node that cannot be embedded: its file is missing or was
                changed, or it has media without a `sha256` in its metadata.
        """
        inputs = node_inputs(nodes, self._library)
        return _with_vectors(nodes, self._embedded(inputs, "document", bool(kwargs.get("show_progress"))))

    @dispatcher.span
    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """The same without blocking the event loop."""
        inputs = node_inputs(nodes, self._library)
        return _with_vectors(nodes, await self._aembedded(inputs, "document", bool(kwargs.get("show_progress"))))

    # Texts. Single ones LlamaIndex's own methods look up and tell of.

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> list[Embedding]:
        """The vectors of texts, in order, as documents.

        Raises:
            InvalidInputError: naming the first, by its position, that cannot be embedded: it is no text, or
                the reference of media that the library does not know.
        """
        return self._embedded(text_inputs(texts, self._library), "document", show_progress)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """`get_text_embedding_batch` without blocking the event loop."""
        return await self._aembedded(text_inputs(texts, self._library), "document", show_progress)

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._vectors([TextInput(query)], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._avectors([TextInput(query)], "query"))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._vectors(text_inputs(texts, self._library), "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._avectors(text_inputs(texts, self._library), "document")


def _with_vectors(nodes: Sequence[BaseNode], vectors: Sequence[Embedding]) -> list[BaseNode]:
    for node, vector in zip(nodes, vectors, strict=True):
        node.embedding = vector
    return [as_own_source(node) for node in nodes]


def _described(embedder: MultiModalEmbedder, framework: str | None) -> str:
    """The models of an embedder in words; of one framework its one model's name."""
    models = {str(modality): one.model for modality, one in embedder.embedders.items()}
    if framework is not None and len(set(models.values())) == 1:
        return next(iter(models.values()))
    return ", ".join(f"{modality}: {model}" for modality, model in models.items())


def _is_description(model_name: str) -> bool:
    """Whether `_described` wrote this of several models: it is that of a copy, and names none to be used."""
    return model_name.startswith(tuple(f"{modality}: " for modality in Modality))
