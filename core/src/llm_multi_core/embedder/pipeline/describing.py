"""Loaded describers, shared as encoders are, and media run through them in batches.

The next batch is decoded while the model describes the one before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeAlias

from llm_multi_core.embedder.describers import Describer
from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncoderMemoryError,
    EncodingError,
    InvalidInputError,
    ModelLoadError,
)
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.pipeline.call import CallGroup
from llm_multi_core.embedder.pipeline.decode import MAX_DECODED_BYTES, decode_items, decoded_bytes
from llm_multi_core.embedder.pipeline.pool import Handle, HandlePool
from llm_multi_core.embedder.pipeline.runtime import runtime

Words: TypeAlias = "str | EmbedderError"
"""What was said of an item, or why nothing was."""


@dataclass(slots=True, eq=False)
class DescriberHandle(Handle):
    """One describer: made and loaded when first needed, each once.

    Attributes:
        make: makes it.
        label: how messages name it.
    """

    make: Callable[[], Describer]
    label: str
    _describer: Describer | None = None
    _loaded: bool = False

    @property
    def name(self) -> str:
        """How messages name it."""
        return self.label

    def describer(self) -> Describer:
        """The describer, not necessarily loaded."""
        with self.lock:
            if self._describer is None:
                self._describer = self.make()
            return self._describer

    def load(self) -> Describer:
        """The describer, loaded; only the first call loads.

        Raises:
            ModelLoadError: if that fails.
        """
        with self.lock:
            describer = self.describer()
            if not self._loaded:
                try:
                    runtime.submit_model(describer.load).result()
                except EmbedderError:
                    raise
                except Exception as error:
                    raise ModelLoadError(
                        f"{self.name} could not be loaded ({type(error).__name__}: {error})"
                    ) from error
                self._loaded = True
            return describer

    def _close(self) -> None:
        with self.lock:
            describer, self._describer, self._loaded = self._describer, None, False
        if describer is not None:
            describer.close()

    def _after_fork(self) -> None:
        self._describer, self._loaded = None, False


describers: HandlePool[DescriberHandle] = HandlePool()
"""The describers of this process."""


def describe_items(
    handle: DescriberHandle, items: Sequence[Item], group: CallGroup | None = None
) -> Iterator[Mapping[bytes, Words]]:
    """What is said of each item, by its digest, a batch at a time and in order.

    Args:
        handle: the describer.
        items: of one part each, of the describer's modality.
        group: the call that they belong to; nothing is begun any more once it has ended.

    Raises:
        ModelLoadError: if the describer cannot be loaded.
        EncodingError: if it does not give one text for each of a batch.
    """
    describer = handle.load()
    before: _Underway | None = None
    queue = deque(_batches(items, describer))
    try:
        while queue and not (group is not None and group.ended):
            batch = queue.popleft()
            try:
                decoded, errors = decode_items(batch, describer.intake)
            except MemoryError as error:
                if len(batch) > 1:
                    queue.extendleft((batch[len(batch) // 2 :], batch[: len(batch) // 2]))
                    continue
                decoded, errors = batch, {0: EncoderMemoryError(f"it does not fit into memory once decoded ({error})")}
            current = _Underway.begin(handle, decoded, errors)
            if before is not None:
                yield before.told()
            before = current
        if before is not None:
            yield before.told()
            before = None
    finally:
        if before is not None and before.future is not None:
            wait([before.future])  # the describer must not be closed under it


@dataclass(frozen=True, slots=True)
class _Underway:
    """A batch that the describer is at work on.

    Attributes:
        handle: the describer's.
        items: those that could be decoded.
        errors: by digest what is to be said of the others.
        future: the texts of the former, if there are any.
    """

    handle: DescriberHandle
    items: list[Item]
    errors: dict[bytes, EmbedderError]
    future: Future[list[str]] | None

    @classmethod
    def begin(cls, handle: DescriberHandle, decoded: Sequence[Item], errors: Mapping[int, Exception]) -> _Underway:
        sound = [item for place, item in enumerate(decoded) if place not in errors]
        told = {decoded[place].digest: _as_told(error) for place, error in errors.items()}
        return cls(handle, sound, told, _submit(handle, sound) if sound else None)

    def told(self) -> Mapping[bytes, Words]:
        """What was said of each."""
        said = self._said(self.items, self.future) if self.future is not None else {}
        return {**self.errors, **said}

    def _said(self, items: list[Item], future: Future[list[str]]) -> Mapping[bytes, Words]:
        """The texts; if the describer failed on several together, what it says of each alone."""
        try:
            texts = future.result()
        except Exception as error:  # noqa: BLE001 - whatever a model or a user's function raises
            if len(items) == 1:
                return {items[0].digest: self._failure(error)}
            alone = ((item, _submit(self.handle, [item])) for item in items)
            return {item.digest: self._said([item], one)[item.digest] for item, one in alone}
        return self._checked(items, texts)

    def _failure(self, error: Exception) -> EmbedderError:
        if isinstance(error, EmbedderError):
            return error
        kind = EncoderMemoryError if isinstance(error, MemoryError) else EncodingError
        return kind(f"{self.handle.name} failed ({type(error).__name__}: {error})")

    def _checked(self, items: Sequence[Item], texts: Any) -> Mapping[bytes, Words]:
        name = self.handle.name
        if not isinstance(texts, Sequence) or isinstance(texts, str) or len(texts) != len(items):
            got = len(texts) if isinstance(texts, Sequence) and not isinstance(texts, str) else type(texts).__name__
            raise EncodingError(f"{name} gave {got} for {len(items)} inputs; one text for each is due")
        for text in texts:
            if not isinstance(text, str):
                raise EncodingError(f"{name} gave a {type(text).__name__} where a text is due")
        none = InvalidInputError(f"{name} found no words for it")
        return {item.digest: text if text.strip() else none for item, text in zip(items, texts, strict=True)}


def _batches(items: Sequence[Item], describer: Describer) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        own = decoded_bytes([item], describer.intake)
        if batch and (len(batch) >= describer.items_per_batch or size + own > MAX_DECODED_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += own
    if batch:
        yield batch


def _submit(handle: DescriberHandle, items: Sequence[Item]) -> Future[list[str]]:
    return runtime.submit_model(handle.describer().describe, [item.parts[0].payload for item in items])


def _as_told(error: Exception) -> EmbedderError:
    return error if isinstance(error, EmbedderError) else EncodingError(f"{type(error).__name__}: {error}")
