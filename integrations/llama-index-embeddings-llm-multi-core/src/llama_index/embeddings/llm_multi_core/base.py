"""`MultiCoreEmbedding`: a text embedder of llm-multi-core behind LlamaIndex's interface.

It converts types and calls the embedder; batching, prompts, retries and normalisation are the
embedder's. What it adds is what LlamaIndex's base class leaves open: settings that are checked, copies
and dumps without a key, and a cache that tells models and roles apart.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.instrumentation import DISPATCHER_SPAN_DECORATED_ATTR  # type: ignore[attr-defined]
from llama_index.core.storage.kvstore.types import BaseKVStore
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from llama_index.embeddings.llm_multi_core.options import framework_options
from llama_index.embeddings.llm_multi_core.pinned import PinnedEmbedder
from llama_index.embeddings.llm_multi_core.stores import ScopedStore, looking_up_queries
from llm_multi_core.embedder import EmbedderError, InvalidOptionError, TextEmbedder, VectorCache, create_text_embedder
from llm_multi_core.embedder.pipeline.call import TruncationPolicy
from llm_multi_core.embedder.rows import FloatArray

logger = logging.getLogger(__name__)

LARGEST_BATCH = 2048
"""The most texts that LlamaIndex lets an embedding have in one slice."""

_OPERATIONAL = frozenset({"device", "batch_size", "embed_batch_size", "num_workers"})
"""Fields that change how fast vectors come, and not which; left out of `to_dict`."""

_SMALL = 16_384
"""Numbers that become Python floats in well under a millisecond: not worth another thread."""

F = TypeVar("F", bound=Callable[..., Any])


def _spanned_by_base(method: F) -> F:
    """Mark an override that only wraps the base's method, so that one call stays one span."""
    setattr(method, DISPATCHER_SPAN_DECORATED_ATTR, True)
    return method


class MultiCoreEmbedding(BaseEmbedding):
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

    model_config = ConfigDict(
        protected_namespaces=("pydantic_model_",), arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    framework: str = Field(default="", frozen=True, description="The framework's name, or distribution/name.")
    model_name: str = Field(default="", frozen=True, description="The model's name or folder.")
    device: str | None = Field(default=None, frozen=True, description="Where a local model runs; None: the best.")
    precision: str = Field(default="auto", frozen=True, description="What a local model computes in.")
    dimensions: int | None = Field(default=None, frozen=True, description="Components of a vector; None: all.")
    force_dimensions: bool = Field(default=False, frozen=True, description="Cut even if the model is not made for it.")
    normalize: bool = Field(default=True, frozen=True, description="Bring vectors to length 1.")
    truncation: TruncationPolicy = Field(default="warn", frozen=True, description="What to do with too long texts.")
    batch_size: int | None = Field(default=None, frozen=True, description="Most texts in one batch of the model.")
    options: dict[str, Any] = Field(default_factory=dict, frozen=True, description="The framework's own options.")
    fingerprint: str | None = Field(default=None, frozen=True, description="Of the space that is expected.")
    embed_batch_size: int = Field(
        default=LARGEST_BATCH, gt=0, le=LARGEST_BATCH, description="Texts handed to the planner at a time."
    )
    embeddings_cache: Any | None = Field(
        default=None, exclude=True, repr=False, description="A BaseKVStore; entries are kept per model and role."
    )

    _pinned: PinnedEmbedder = PrivateAttr()

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
        self._pinned = PinnedEmbedder(embedder, fingerprint, f"{normalize} {truncation}")
        self.embeddings_cache = self.embeddings_cache  # now that there is an embedder to scope it to

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex files serialised copies."""
        return "MultiCoreEmbedding"

    @property
    def embedder(self) -> TextEmbedder:
        """The embedder behind this: its `space`, `dimension`, `plan(texts)` and `run(texts)` with a report."""
        return self._pinned.embedder

    # Texts to vectors: lists of Python floats, as many as `embedder.dimension`.

    def _get_query_embedding(self, query: str) -> list[float]:
        return _floats(self._pinned.checked().embed(query, "query"))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        embedder = await self._pinned.achecked()
        return _floats(await embedder.aembed(query, "query"))

    def _get_text_embedding(self, text: str) -> list[float]:
        return _floats(self._pinned.checked().embed(text, "document"))

    async def _aget_text_embedding(self, text: str) -> list[float]:
        embedder = await self._pinned.achecked()
        return _floats(await embedder.aembed(text, "document"))

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _rows(self._pinned.checked().embed_batch(texts, "document"))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        embedder = await self._pinned.achecked()
        vectors = await embedder.aembed_batch(texts, "document")
        if vectors.size <= _SMALL:
            return _rows(vectors)
        return await asyncio.to_thread(_rows, vectors)

    # Queries have their own entries in the cache.

    @_spanned_by_base
    def get_query_embedding(self, query: str) -> list[float]:
        """The vector of a query: `embedder.dimension` floats.

        Raises:
            InvalidInputError: if it is not a text that can be embedded.
            IncompatibleSpacesError: if the model's space is not the expected one.
            EncodingError: if the model or provider failed.
        """
        with looking_up_queries():
            return super().get_query_embedding(query)

    @_spanned_by_base
    async def aget_query_embedding(self, query: str) -> list[float]:
        """`get_query_embedding` without blocking the event loop."""
        with looking_up_queries():
            return await super().aget_query_embedding(query)

    def __setattr__(self, name: str, value: Any) -> None:
        field = type(self).model_fields.get(name)
        if field is not None and field.frozen:
            # pydantic's own error would hold the value, which may be a key.
            raise AttributeError(f"{name} cannot be set: it is fixed once the embedding is made; make a new one")
        if name == "embeddings_cache":
            value = self._scoped(value)
        super().__setattr__(name, value)

    def _scoped(self, store: Any) -> ScopedStore | None:
        if store is None:
            return None
        if isinstance(store, ScopedStore):  # perhaps another embedding's
            store = store.store
        if not isinstance(store, BaseKVStore):
            raise TypeError("embeddings_cache must be of type BaseKVStore")
        return ScopedStore(store, self._pinned.cache_scope)

    # Serialised forms and copies.

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Everything that decides which vectors come out, and no key; `from_dict` reads it back.

        LlamaIndex's ingestion cache files its entries under this. So it has the space's `fingerprint`
        and the `encoder_id`, which reads a local model's files once, but neither the device nor
        batch sizes: changing those keeps the cache. Use `model_dump` for all fields.

        Where the model cannot be read at this time, the two are `None` (but for a fingerprint that
        was given) rather than an error, since nothing can be embedded with it either.
        """
        data = {key: value for key, value in super().to_dict(**kwargs).items() if key not in _OPERATIONAL}
        try:
            data["fingerprint"] = self.fingerprint or self.embedder.space.fingerprint
            data["encoder_id"] = self.embedder.encoder_id
        except EmbedderError as error:
            logger.debug("to_dict without fingerprint: %s", error)
            data["encoder_id"] = None
        return data

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; `update` may change what is not a setting of the embedder.

        Raises:
            InvalidOptionError: for a setting, which the copy's embedder would not follow.
        """
        fixed = sorted(name for name in update or () if name in _frozen_fields(type(self)))
        if fixed:
            raise InvalidOptionError(f"{', '.join(fixed)} cannot be changed in a copy; make a new MultiCoreEmbedding")
        copied = super().model_copy(update=update, deep=deep)
        copied.embeddings_cache = copied.embeddings_cache
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        # These are shared on purpose, and hold locks: a copied limiter would let twice as much through.
        # (The limiter came with llama-index-core 0.14.)
        for shared in (self.callback_manager, getattr(self, "rate_limiter", None), self._store()):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[str, Any]:
        # LlamaIndex's own removes what cannot be pickled from the living object as well.
        state = BaseModel.__getstate__(self)
        fields = {**state["__dict__"], "embeddings_cache": self._store()}
        return {**state, "__dict__": {name: value for name, value in fields.items() if _picklable(name, value)}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # LlamaIndex's own calls `__init__`, which would ask for a key that the copy may never need.
        fields = dict(state["__dict__"])
        store = fields.pop("embeddings_cache", None)
        for name, field in type(self).model_fields.items():
            fields.setdefault(name, field.get_default(call_default_factory=True))
        BaseModel.__setstate__(self, {**state, "__dict__": fields})
        self.embeddings_cache = store

    def _store(self) -> BaseKVStore | None:
        scoped = self.embeddings_cache
        return scoped.store if isinstance(scoped, ScopedStore) else None


def _floats(vector: FloatArray) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats


def _rows(vectors: FloatArray) -> list[list[float]]:
    """Row by row, since a single call for all would keep every other thread from running."""
    return [_floats(row) for row in vectors]


def _frozen_fields(cls: type[BaseModel]) -> set[str]:
    return {name for name, field in cls.model_fields.items() if field.frozen}


def _picklable(name: str, value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - objects fail at pickling in any way they like
        logger.warning("%s cannot be pickled; the copy is without it", name)
        return False
    return True
