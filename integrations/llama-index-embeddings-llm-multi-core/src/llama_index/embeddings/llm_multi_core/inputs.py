"""What is to be embedded: a text, an image or recording as it was passed, or what a record stands for.

Each knows how events call it, under what a cache keeps its vector, and what the embedder is given.
Nothing is opened before that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Protocol, TypeVar

from llm_multi_core.embedder import Audio, Image, InvalidInputError, Item, Modality, MultiModalEmbedder, Text
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord

T = TypeVar("T")

_LONGEST_LABEL = 500
"""Characters by which events name media; a `data:` URL has millions."""


class Input(Protocol):
    """Something to embed."""

    @property
    def modality(self) -> Modality:
        """What it is."""

    @property
    def label(self) -> str:
        """What events call it."""

    @property
    def is_heavy(self) -> bool:
        """Whether it lies in memory, decoded, from when it is handed over until its vector is there."""

    def content(self, embedder: MultiModalEmbedder) -> str:
        """What identifies its content.

        Raises:
            InvalidInputError: if it cannot be read.
        """

    def payload(self) -> Any:
        """What the embedder takes.

        Raises:
            InvalidInputError: if it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class TextInput:
    """A text, whatever it looks like."""

    label: str
    modality: Modality = Modality.TEXT
    is_heavy: bool = False

    def content(self, embedder: MultiModalEmbedder) -> str:
        """The text itself."""
        return self.label

    def payload(self) -> Text:
        """The text, marked as one."""
        return Text(self.label)


@dataclass(slots=True)
class MediaInput:
    """An image or a recording, in any form that an embedder takes."""

    value: Image | Audio
    is_heavy: bool = False
    _item: Item | None = None

    @property
    def modality(self) -> Modality:
        """Image or audio."""
        return Modality.IMAGE if isinstance(self.value, Image) else Modality.AUDIO

    @property
    def label(self) -> str:
        """Its path or URL, or what it is."""
        value = self.value.value
        if isinstance(value, str | os.PathLike):
            text = os.fspath(value)
            return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
        return f"{self.modality} as {type(value).__name__}"

    def content(self, embedder: MultiModalEmbedder) -> str:
        """The hash of its content, which is read."""
        if self._item is None:
            (self._item,) = embedder.segments(self.value, seconds=inf, overlap=0.0)
        return self._item.digest.hex()

    def payload(self) -> Item | Image | Audio:
        """The value, or what was read of it: a file object can be read once."""
        return self.value if self._item is None else self._item


@dataclass(frozen=True, slots=True)
class RecordInput:
    """What a record stands for: a picture, a recording or a window of one, a page of a PDF."""

    record: MediaRecord
    library: MediaLibrary

    @property
    def modality(self) -> Modality:
        """What it is embedded as."""
        return self.record.modality

    @property
    def label(self) -> str:
        """Its reference."""
        return self.record.reference

    @property
    def is_heavy(self) -> bool:
        """Pages are rendered before they are embedded."""
        return self.record.page is not None

    def content(self, embedder: MultiModalEmbedder) -> str:
        """The hash of its file, and which part of that it is. The file is not opened."""
        record = self.record
        return f"{record.sha256} {record.page} {record.start_ms} {record.end_ms}"

    def payload(self) -> Item:
        """The item; its file must hold what was recorded."""
        return self.library.item(self.record)


def payloads(inputs: Sequence[Input]) -> list[Any]:
    """What the embedder takes, for each.

    Raises:
        InvalidInputError: naming the first, by its position, that cannot be read.
    """
    return [_named(one.payload, position) for position, one in enumerate(inputs)]


def contents(inputs: Sequence[Input], embedder: MultiModalEmbedder) -> list[str]:
    """What identifies the content of each.

    Raises:
        InvalidInputError: naming the first, by its position, that cannot be read.
    """
    return [_named(partial(one.content, embedder), position) for position, one in enumerate(inputs)]


def _named(read: Callable[[], T], position: int) -> T:
    try:
        return read()
    except InvalidInputError as error:
        raise error.at(position) from error.__cause__
