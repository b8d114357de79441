"""What the embeddings of this package have in common: `AdaptedEmbedding`.

What LlamaIndex's base class leaves open, whatever is embedded: settings that stay as they were checked,
copies and dumps without a key, and a cache that tells models and roles apart.
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

from llama_index.embeddings.llm_multi_core.stores import ScopedStore, looking_up_queries
from llm_multi_core.embedder import EmbedderError, InvalidOptionError, MultiModalEmbedder, TextEmbedder
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.stores import PinnedEmbedder

logger = logging.getLogger(__name__)

LARGEST_BATCH = 2048
"""The most inputs that LlamaIndex lets an embedding have in one slice."""

_OPERATIONAL = frozenset({"device", "batch_size", "embed_batch_size", "num_workers", "allow_urls"})
"""Fields that change how vectors come, and not which; left out of `to_dict`."""

_SMALL = 16_384
"""Numbers that become Python floats in well under a millisecond: not worth another thread."""

F = TypeVar("F", bound=Callable[..., Any])


def spanned_by_base(method: F) -> F:
    """Mark an override that only wraps the base's method, so that one call stays one span."""
    setattr(method, DISPATCHER_SPAN_DECORATED_ATTR, True)
    return method


class AdaptedEmbedding(BaseEmbedding):
    """An embedder of llm-multi-core behind LlamaIndex's interface; subclasses say which, and embed.

    A subclass makes its embedder in `__init__` and hands it to `_adopt`. Its settings are frozen fields.
    """

    model_config = ConfigDict(
        protected_namespaces=("pydantic_model_",), arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    model_name: str = Field(default="", frozen=True, description="The model's name or folder.")
    fingerprint: str | None = Field(default=None, frozen=True, description="Of the space that is expected.")
    embed_batch_size: int = Field(
        default=LARGEST_BATCH, gt=0, le=LARGEST_BATCH, description="Inputs handed to the planner at a time."
    )
    embeddings_cache: Any | None = Field(
        default=None, exclude=True, repr=False, description="A BaseKVStore; entries are kept per model and role."
    )

    _pinned: PinnedEmbedder[Any] = PrivateAttr()

    def _adopt(self, pinned: PinnedEmbedder[Any]) -> None:
        """Embed with this from now on."""
        self._pinned = pinned
        self.embeddings_cache = self.embeddings_cache  # now that there is an embedder to scope it to

    @property
    def embedder(self) -> TextEmbedder | MultiModalEmbedder:
        """The embedder behind this."""
        embedder: TextEmbedder | MultiModalEmbedder = self._pinned.embedder
        return embedder

    # Queries have their own entries in the cache.

    @spanned_by_base
    def get_query_embedding(self, query: str) -> list[float]:
        """The vector of a query: as many floats as the space has dimensions.

        Raises:
            InvalidInputError: if it is not a text that can be embedded.
            IncompatibleSpacesError: if the model's space is not the expected one.
            EncodingError: if the model or provider failed.
        """
        with looking_up_queries():
            return super().get_query_embedding(query)

    @spanned_by_base
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
            raise InvalidOptionError(
                f"{', '.join(fixed)} cannot be changed in a copy; make a new {type(self).__name__}"
            )
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


def floats_of(vector: FloatArray) -> list[float]:
    """A vector `(d,)` as LlamaIndex has them."""
    floats: list[float] = vector.tolist()
    return floats


def rows_of(vectors: FloatArray) -> list[list[float]]:
    """Vectors `(n, d)`, row by row, since a single call for all would keep every other thread from running."""
    return [floats_of(row) for row in vectors]


async def arows_of(vectors: FloatArray) -> list[list[float]]:
    """`rows_of` without blocking the event loop."""
    return rows_of(vectors) if vectors.size <= _SMALL else await asyncio.to_thread(rows_of, vectors)


def _frozen_fields(cls: type[BaseModel]) -> set[str]:
    return {name for name, field in cls.model_fields.items() if field.frozen}


def _picklable(name: str, value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - objects fail at pickling in any way they like
        logger.warning("%s cannot be pickled; the copy is without it", name)
        return False
    return True
