"""The types that travel from the caller to an encoder: `Part`, `Item`, `Span`, `Task`.

Plain data, no behaviour of any framework. What comes back is in `rows`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Literal

from llm_multi_core.embedder.errors import InvalidOptionError

DIGEST_SIZE = 16
"""Bytes in a content digest: 128 bits, so that two contents never collide by accident."""


class Modality(StrEnum):
    """What kind of content a part is. `VIDEO` is reserved; no encoder takes it yet."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class Role(StrEnum):
    """What an embedding is for; models with asymmetric prompts treat the roles differently."""

    QUERY = "query"
    DOCUMENT = "document"
    SYMMETRIC = "symmetric"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of content of one modality.

    `digest` identifies the content (`DIGEST_SIZE` bytes, modality included) whatever its form or
    file name was; two parts are equal when their digests are.
    """

    modality: Modality
    payload: Any = field(compare=False)
    digest: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Where in its source an item comes from.

    `kind` says what `start` and `end` count: pages (from 1, inclusive), milliseconds or characters
    (from 0, `end` exclusive).
    """

    kind: Literal["page", "time", "characters"]
    start: int
    end: int
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes one embedding: one part, or several interleaved ones.

    Items that share a `group` are embedded in one another's context (late chunking) by an encoder that
    does so; then they are never de-duplicated or cached apart from their group. `span` does not
    influence the vector.
    """

    parts: tuple[Part, ...]
    span: Span | None = None
    group: Hashable | None = None

    @property
    def digest(self) -> bytes:
        """The identity of the content: that of the only part, or a hash over the parts in order."""
        parts = self.parts
        if len(parts) == 1:
            return parts[0].digest
        return blake2b(b"".join(part.digest for part in parts), digest_size=DIGEST_SIZE, person=b"item").digest()

    @property
    def signature(self) -> tuple[Modality, ...]:
        """The modalities of the parts, in order; a batch holds items of one signature."""
        return tuple(part.modality for part in self.parts)

    @property
    def text(self) -> str:
        """The payload of a one-part text item; `TypeError` for any other item."""
        if len(self.parts) != 1 or self.parts[0].modality is not Modality.TEXT:
            raise TypeError(f"not a plain text item: {' + '.join(self.signature)}")
        payload: str = self.parts[0].payload
        return payload


@dataclass(frozen=True, slots=True)
class Task:
    """What the vectors are for: a role, and an instruction for models that follow one."""

    role: Role = Role.SYMMETRIC
    instruction: str | None = None

    @classmethod
    def of(cls, role: str | None, instruction: str | None = None) -> Task:
        """A task from what users pass; `None` is the symmetric role.

        Raises:
            InvalidOptionError: for a role that does not exist, or an instruction that is no text.
        """
        if instruction is not None and not isinstance(instruction, str):
            raise InvalidOptionError(f"instruction={instruction!r} is not a text")
        if role is None:
            return cls(Role.SYMMETRIC, instruction)
        try:
            return cls(Role(role), instruction)
        except ValueError:
            names = ", ".join(repr(str(member)) for member in Role)
            raise InvalidOptionError(f"role={role!r} does not exist; use one of {names} or None") from None
