"""Inputs of any modality to vectors, with all that LlamaIndex does for texts: `MediaBatches`.

LlamaIndex's own methods for images pass by its cache, its rate limiter, its workers and its events, and
it has none for sound. Here all modalities take one way: slice, event, look up, limit, embed, keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from tqdm.auto import tqdm

from llama_index.embeddings.llm_multi_core.adapted import AdaptedEmbedding, arows_of, rows_of
from llama_index.embeddings.llm_multi_core.inputs import Input, MediaInput, contents, payloads
from llama_index.embeddings.llm_multi_core.stores import Role, ScopedStore
from llm_multi_core.embedder import Audio, Image, InvalidInputError, MultiModalEmbedder

dispatcher = get_dispatcher(__name__)

_HEAVY = 32
"""Rendered pages that lie in memory at a time, at about 6 MB each."""
_SIDE_BY_SIDE = 2
"""Slices that are under way at a time, unless `num_workers` says otherwise: one is read while one is embedded."""


class MediaBatches(AdaptedEmbedding, MultiModalEmbedding):
    """Embeds images and sound, singly and in batches, as documents and as queries, asynchronously or not."""

    @property
    def embedder(self) -> MultiModalEmbedder:
        """The embedder behind this: its `space`, `joint_modalities`, `ways()` and `run_joint(inputs)` with reports."""
        embedder: MultiModalEmbedder = self._pinned.embedder
        return embedder

    # Images.

    @dispatcher.span
    def get_image_embedding(self, img_file_path: Any) -> Embedding:
        """The vector of an image, as a document.

        Args:
            img_file_path: a path, a binary file, bytes, a PIL image, an array of pixels; a URL if
                `allow_urls` was set.

        Raises:
            InvalidInputError: if it cannot be read.
            IncompatibleSpacesError: if images do not come into one space with the other modalities, or that
                is not the expected one.
            EncodingError: if the model or provider failed.
        """
        return self._embedded_one(Image(img_file_path), "document")

    @dispatcher.span
    async def aget_image_embedding(self, img_file_path: Any) -> Embedding:
        """`get_image_embedding` without blocking the event loop."""
        return await self._aembedded_one(Image(img_file_path), "document")

    @dispatcher.span
    def get_image_embedding_batch(self, img_file_paths: Sequence[Any], show_progress: bool = False) -> list[Embedding]:
        """The vectors of images, in order, as documents; each as for `get_image_embedding`."""
        return self._embedded([MediaInput(Image(image)) for image in img_file_paths], "document", show_progress)

    @dispatcher.span
    async def aget_image_embedding_batch(
        self, img_file_paths: Sequence[Any], show_progress: bool = False
    ) -> list[Embedding]:
        """`get_image_embedding_batch` without blocking the event loop."""
        inputs = [MediaInput(Image(image)) for image in img_file_paths]
        return await self._aembedded(inputs, "document", show_progress)

    @dispatcher.span
    def get_image_query_embedding(self, image: Any) -> Embedding:
        """The vector of an image that is asked with; otherwise as `get_image_embedding`."""
        return self._embedded_one(Image(image), "query")

    @dispatcher.span
    async def aget_image_query_embedding(self, image: Any) -> Embedding:
        """`get_image_query_embedding` without blocking the event loop."""
        return await self._aembedded_one(Image(image), "query")

    # Sound.

    @dispatcher.span
    def get_audio_embedding(self, audio: Any) -> Embedding:
        """The vector of a recording, as a document.

        Args:
            audio: a path, a binary file, bytes, or a pair of samples and their rate in Hz; a URL if
                `allow_urls` was set.

        Raises:
            InvalidInputError: if it cannot be read.
            IncompatibleSpacesError: if sound does not come into one space with the other modalities, or that
                is not the expected one.
            EncodingError: if the model or provider failed.
        """
        return self._embedded_one(Audio(audio), "document")

    @dispatcher.span
    async def aget_audio_embedding(self, audio: Any) -> Embedding:
        """`get_audio_embedding` without blocking the event loop."""
        return await self._aembedded_one(Audio(audio), "document")

    @dispatcher.span
    def get_audio_embedding_batch(self, audios: Sequence[Any], show_progress: bool = False) -> list[Embedding]:
        """The vectors of recordings, in order, as documents; each as for `get_audio_embedding`."""
        return self._embedded([MediaInput(Audio(audio)) for audio in audios], "document", show_progress)

    @dispatcher.span
    async def aget_audio_embedding_batch(self, audios: Sequence[Any], show_progress: bool = False) -> list[Embedding]:
        """`get_audio_embedding_batch` without blocking the event loop."""
        return await self._aembedded([MediaInput(Audio(audio)) for audio in audios], "document", show_progress)

    @dispatcher.span
    def get_audio_query_embedding(self, audio: Any) -> Embedding:
        """The vector of a recording that is asked with; otherwise as `get_audio_embedding`."""
        return self._embedded_one(Audio(audio), "query")

    @dispatcher.span
    async def aget_audio_query_embedding(self, audio: Any) -> Embedding:
        """`get_audio_query_embedding` without blocking the event loop."""
        return await self._aembedded_one(Audio(audio), "query")

    # What LlamaIndex's own methods for images call: vectors alone.

    def _get_image_embedding(self, img_file_path: Any) -> Embedding:
        return self._get_image_embeddings([img_file_path])[0]

    async def _aget_image_embedding(self, img_file_path: Any) -> Embedding:
        return (await self._aget_image_embeddings([img_file_path]))[0]

    def _get_image_embeddings(self, img_file_paths: Sequence[Any]) -> list[Embedding]:
        return self._vectors([MediaInput(Image(image)) for image in img_file_paths], "document")

    async def _aget_image_embeddings(self, img_file_paths: Sequence[Any]) -> list[Embedding]:
        return await self._avectors([MediaInput(Image(image)) for image in img_file_paths], "document")

    # The way of every input.

    def _embedded_one(self, value: Image | Audio, role: Role) -> Embedding:
        with _alone():
            return self._embedded([MediaInput(value)], role)[0]

    async def _aembedded_one(self, value: Image | Audio, role: Role) -> Embedding:
        with _alone():
            return (await self._aembedded([MediaInput(value)], role))[0]

    def _embedded(self, inputs: Sequence[Input], role: Role, show_progress: bool = False) -> list[Embedding]:
        vectors: list[Embedding] = []
        with _bar(len(inputs), show_progress) as bar:
            for positions in self._slices(inputs):
                vectors += self._embed_slice(inputs, positions, role)
                bar.update(len(positions))
        return vectors

    async def _aembedded(self, inputs: Sequence[Input], role: Role, show_progress: bool = False) -> list[Embedding]:
        places = asyncio.Semaphore(self.num_workers or _SIDE_BY_SIDE)

        async def embed(positions: range) -> list[Embedding]:
            async with places:
                vectors = await self._aembed_slice(inputs, positions, role)
            bar.update(len(positions))
            return vectors

        with _bar(len(inputs), show_progress) as bar:
            tasks = [asyncio.ensure_future(embed(positions)) for positions in self._slices(inputs)]
            try:
                slices = await asyncio.gather(*tasks)
            finally:  # where one fails, the others end with it
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return [vector for vectors in slices for vector in vectors]

    def _slices(self, inputs: Sequence[Input]) -> Iterator[range]:
        """Positions of inputs that are embedded together."""
        start, heavy = 0, 0
        for position, input_ in enumerate(inputs):
            heavy += input_.is_heavy
            if position - start == self.embed_batch_size or heavy > _HEAVY:
                yield range(start, position)
                start, heavy = position, int(input_.is_heavy)
        if start < len(inputs):
            yield range(start, len(inputs))

    def _embed_slice(self, inputs: Sequence[Input], positions: range, role: Role) -> list[Embedding]:
        batch = inputs[positions.start : positions.stop]
        store: ScopedStore | None = self.embeddings_cache
        with self._event(batch) as vectors:
            keys: list[str] = []
            if store is None:
                vectors.extend([None] * len(batch))
            else:
                with _at(positions):
                    keys = contents(batch, self.embedder)
                for one, key in zip(batch, keys, strict=True):
                    vectors.append(store.vector(one.modality, key, role))
            missing = [place for place, vector in enumerate(vectors) if vector is None]
            if missing:
                if self.rate_limiter is not None:
                    self.rate_limiter.acquire()
                with _at([positions[place] for place in missing]):
                    fresh = self._vectors([batch[place] for place in missing], role)
                for place, vector in zip(missing, fresh, strict=True):
                    vectors[place] = vector
                    if store is not None:
                        store.keep(batch[place].modality, keys[place], role, vector)
        return vectors

    async def _aembed_slice(self, inputs: Sequence[Input], positions: range, role: Role) -> list[Embedding]:
        batch = inputs[positions.start : positions.stop]
        store: ScopedStore | None = self.embeddings_cache
        with self._event(batch) as vectors:
            keys: list[str] = []
            if store is None:
                vectors.extend([None] * len(batch))
            else:
                with _at(positions):
                    keys = await asyncio.to_thread(contents, batch, self.embedder)
                vectors.extend(
                    [await store.avector(one.modality, key, role) for one, key in zip(batch, keys, strict=True)]
                )
            missing = [place for place, vector in enumerate(vectors) if vector is None]
            if missing:
                if self.rate_limiter is not None:
                    await self.rate_limiter.async_acquire()
                with _at([positions[place] for place in missing]):
                    fresh = await self._avectors([batch[place] for place in missing], role)
                for place, vector in zip(missing, fresh, strict=True):
                    vectors[place] = vector
                    if store is not None:
                        await store.akeep(batch[place].modality, keys[place], role, vector)
        return vectors

    def _vectors(self, inputs: Sequence[Input], role: Role) -> list[Embedding]:
        return rows_of(self._pinned.checked().embed_joint(payloads(inputs), role))

    async def _avectors(self, inputs: Sequence[Input], role: Role) -> list[Embedding]:
        embedder = await self._pinned.achecked()
        return await arows_of(await embedder.aembed_joint(await asyncio.to_thread(payloads, inputs), role))

    @contextmanager
    def _event(self, batch: Sequence[Input]) -> Iterator[list[Any]]:
        """Tell of a slice being embedded; the vectors go into the list.

        A failure shows as an exception in the callbacks, and in instrumentation as the span that is dropped.
        """
        payload = self.to_payload()
        labels = [one.label for one in batch]
        vectors: list[Any] = []
        dispatcher.event(EmbeddingStartEvent(model_dict=payload))
        with self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:
            yield vectors
            event.on_end(payload={EventPayload.CHUNKS: labels, EventPayload.EMBEDDINGS: vectors})
        dispatcher.event(EmbeddingEndEvent(chunks=labels, embeddings=vectors))


@contextmanager
def _at(positions: Sequence[int]) -> Iterator[None]:
    """Tell a bad input's position among all inputs of the call."""
    try:
        yield
    except InvalidInputError as error:
        raise error.at(positions[error.index or 0]) from error.__cause__


@contextmanager
def _alone() -> Iterator[None]:
    """Tell of a bad input without a position, since it is the only one."""
    try:
        yield
    except InvalidInputError as error:
        raise type(error)(error.reason) from error.__cause__


def _bar(total: int, show_progress: bool) -> tqdm[Any]:
    return tqdm(total=total, desc="Generating embeddings", disable=not show_progress)
