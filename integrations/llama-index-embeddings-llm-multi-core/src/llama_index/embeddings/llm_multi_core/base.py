"""`MultiCoreEmbedding`: a text embedder of llm-multi-core behind LlamaIndex's interface.

It converts types and calls the embedder; batching, prompts, retries and normalisation are the
embedder's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from llama_index.embeddings.llm_multi_core.adapted import LARGEST_BATCH, AdaptedEmbedding, arows_of, floats_of, rows_of
from llama_index.embeddings.llm_multi_core.options import framework_options
from llm_multi_core.embedder import InvalidOptionError, TextEmbedder, VectorCache, create_text_embedder
from llm_multi_core.embedder.pipeline.call import TruncationPolicy
from llm_multi_core.embedder.stores import PinnedEmbedder


class MultiCoreEmbedding(AdaptedEmbedding):
    """Embeds text with any framework of llm-multi-core, in LlamaIndex.

    Making one checks every setting and loads nothing; the model is loaded, once, at its first use.
    Queries and documents get the prompt or input type that the model has for them. A text is always
    text: a path or URL is embedded as it stands, not opened.

    Copies made by `pickle` (worker processes) and `copy.deepcopy` have no key; they read the
    environment again when they are used.

    Args:
        framework: a framework's name, or `distribution/name`; `None` is `"sentence-transformers"`.
        model_name: a model name or a local folder; `None` is the framework's default.
        model: the same as `model_name`.
        device: `"cpu"`, `"cuda"`, `"mps"`; `None` picks the best one.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`.
        dimensions: fewer components than the model's own, where the model allows it.
        force_dimensions: cut to `dimensions` even if the model is not known to allow it.
        normalize: bring vectors to length 1.
        truncation: what to do with texts beyond the model's limit: `"warn"`, `"error"`,
            `"truncate"`, or `"mean"` of the pieces.
        batch_size: at most this many texts in one batch of the model; by default the planner
            decides. `embed_batch_size` is how many texts LlamaIndex hands over at a time.
        cache: where llm-multi-core keeps vectors between calls, such as `MemoryCache()`.
        api_key: a hosted framework's key: a string, a `SecretStr`, or a callable. By default the
            provider's environment variable is read. It is no field: nothing prints or stores it.
        options: the framework's own options. They may also be given as keywords.
        fingerprint: of the space that vectors must lie in, as `to_dict` has it; embedding with
            another one is refused at first use.
        embed_batch_size: texts that are planned together, at most 2048.
        **extra: the fields of LlamaIndex's `BaseEmbedding` (`callback_manager`, `num_workers`,
            `embeddings_cache`, `rate_limiter`), and the framework's own options.

    Raises:
        UnknownFrameworkError: no such framework for text; names the nearest.
        AmbiguousFrameworkError: two distributions offer it; names both.
        FrameworkUnavailableError: not installed; with the `pip install` line.
        PluginError: its plugin is broken.
        InvalidOptionError: a setting or option that the framework does not take.
        MissingCredentialsError: a hosted framework without a key.

    Examples:
        ```python
        from llama_index.core import Document, VectorStoreIndex
        from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding

        embed_model = MultiCoreEmbedding(framework="sentence-transformers", model_name="all-MiniLM-L6-v2")
        index = VectorStoreIndex.from_documents([Document(text="A cat sleeps.")], embed_model=embed_model)
        nodes = index.as_retriever(similarity_top_k=1).retrieve("Which pet is resting?")
        ```
    """

    framework: str = Field(default="", frozen=True, description="The framework's name, or distribution/name.")
    device: str | None = Field(default=None, frozen=True, description="Where a local model runs; None: the best.")
    precision: str = Field(default="auto", frozen=True, description="What a local model computes in.")
    dimensions: int | None = Field(default=None, frozen=True, description="Components of a vector; None: all.")
    force_dimensions: bool = Field(default=False, frozen=True, description="Cut even if the model is not made for it.")
    normalize: bool = Field(default=True, frozen=True, description="Bring vectors to length 1.")
    truncation: TruncationPolicy = Field(default="warn", frozen=True, description="What to do with too long texts.")
    batch_size: int | None = Field(default=None, frozen=True, description="Most texts in one batch of the model.")
    options: dict[str, Any] = Field(default_factory=dict, frozen=True, description="The framework's own options.")

    def __init__(
        self,
        framework: str | None = None,
        model_name: str | None = None,
        *,
        model: str | None = None,
        device: str | None = None,
        precision: str = "auto",
        dimensions: int | None = None,
        force_dimensions: bool = False,
        normalize: bool = True,
        truncation: TruncationPolicy = "warn",
        batch_size: int | None = None,
        cache: VectorCache | None = None,
        api_key: str | Callable[[], str] | Any = None,
        options: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
        embed_batch_size: int = LARGEST_BATCH,
        **extra: Any,
    ) -> None:
        if model is not None and model_name is not None and model != model_name:
            raise InvalidOptionError(f"model={model!r} and model_name={model_name!r} name two models; pass one")
        for name in ("class_name", "encoder_id"):  # of a dictionary that `to_dict` made
            extra.pop(name, None)
        own = {name: extra.pop(name) for name in list(extra) if name in type(self).model_fields}
        settings: dict[str, Any] = {
            "device": device,
            "precision": precision,
            "dimensions": dimensions,
            "force_dimensions": force_dimensions,
            "normalize": normalize,
            "truncation": truncation,
            "batch_size": batch_size,
        }
        chosen = framework_options(options, extra)
        # First, and with the host's own errors: pydantic's hold what was passed, and no key may get into one.
        embedder = create_text_embedder(
            framework,
            model_name if model is None else model,
            cache=cache,
            api_key=api_key,
            **settings,
            **chosen,
        )
        distribution, slash, _ = (framework or "").rpartition("/")
        fields: dict[str, Any] = {
            "framework": f"{distribution}{slash}{embedder.framework}",
            "model_name": embedder.model,
            "options": chosen,
            "fingerprint": fingerprint,
            "embed_batch_size": embed_batch_size,
        }
        super().__init__(**settings, **fields, **own)
        self._adopt(PinnedEmbedder(embedder, fingerprint, f"{normalize} {truncation}"))

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex files serialised copies."""
        return "MultiCoreEmbedding"

    @property
    def embedder(self) -> TextEmbedder:
        """The embedder behind this: its `space`, `dimension`, `plan(texts)` and `run(texts)` with a report."""
        embedder: TextEmbedder = self._pinned.embedder
        return embedder

    # Texts to vectors: lists of Python floats, as many as `embedder.dimension`.

    def _get_query_embedding(self, query: str) -> list[float]:
        return floats_of(self._pinned.checked().embed(query, "query"))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        embedder = await self._pinned.achecked()
        return floats_of(await embedder.aembed(query, "query"))

    def _get_text_embedding(self, text: str) -> list[float]:
        return floats_of(self._pinned.checked().embed(text, "document"))

    async def _aget_text_embedding(self, text: str) -> list[float]:
        embedder = await self._pinned.achecked()
        return floats_of(await embedder.aembed(text, "document"))

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return rows_of(self._pinned.checked().embed_batch(texts, "document"))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        embedder = await self._pinned.achecked()
        return await arows_of(await embedder.aembed_batch(texts, "document"))
