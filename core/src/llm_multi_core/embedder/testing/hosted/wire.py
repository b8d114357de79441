"""`Wire`: what the server needs to know of a provider. Reads requests and writes replies, sends nothing."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np

from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.rows import FloatArray


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came in; names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed.

        Raises:
            WireError: if it is not JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise WireError(400, "the body is not JSON") from None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply to send."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpReply:
        """A reply with a JSON body."""
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})


class WireError(Exception):
    """A request that the provider would refuse.

    Attributes:
        status: the HTTP status.
        message: what the provider would say.
        code: the provider's own code, where its refusals carry one; or the server's: `"too_long"` for
            an input, `"too_many"` inputs, `"too_large"` a request, `"empty"`, `"poison"`.
    """

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True, slots=True)
class Content:
    """One input of a request.

    Attributes:
        key: the text itself, or a hash of the media's bytes; decides the vector.
        units: tokens as this provider counts them (words, for a double).
        nbytes: size of the text in UTF-8 or of the decoded media.
        modality: `"text"`, `"image"` or `"audio"`.
    """

    key: str
    units: int
    nbytes: int
    modality: str = "text"


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """What a request asks for.

    Attributes:
        contents: the inputs, in order; one vector is due for each.
        model: the model's name.
        dimension: components that a vector is to have.
        role: everything else in the request that changes a vector: role, task, prompt.
        extra: what `write` needs to know again (the encoding asked for, say).
    """

    contents: Sequence[Content]
    model: str
    dimension: int
    role: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def units(self) -> int:
        """Units of all contents."""
        return sum(content.units for content in self.contents)


class Wire(ABC):
    """A provider's wire format. Subclasses check requests against the documented schema, unknown fields included."""

    limits: ClassVar[Limits]
    """The documented limits; the server refuses, and notes, what goes beyond them."""
    prefix: ClassVar[str] = ""
    """What a client's base URL has after the server's address (`"/v1"`); paths come with it to `read`."""

    @abstractmethod
    def read(self, request: HttpRequest) -> EmbeddingCall | HttpReply:
        """What a request asks for, or at once the reply to a request of another kind (a chat, a list of models).

        Raises:
            WireError: for a wrong path, method, field, type, value, or a missing key.
        """

    @abstractmethod
    def write(self, call: EmbeddingCall, vectors: Sequence[FloatArray], order: Sequence[int]) -> HttpReply:
        """The reply with one vector per content, the entries in the given order with their indices.

        `order` is `range(n)` unless the server was told to reply out of order; a format without
        indices ignores it.
        """

    @abstractmethod
    def refuse(self, error: WireError, headers: Mapping[str, str] | None = None) -> HttpReply:
        """A refusal in the provider's form."""

    def pace_headers(self, pace: Pace) -> Mapping[str, str]:
        """The headers that tell of limits a minute; by default those that OpenAI introduced."""
        values = {
            "limit-requests": pace.requests_per_minute,
            "limit-tokens": pace.units_per_minute,
            "remaining-requests": pace.requests_left,
            "remaining-tokens": pace.units_left,
            "reset-requests": None if pace.requests_reset is None else f"{pace.requests_reset:.3f}s",
            "reset-tokens": None if pace.units_reset is None else f"{pace.units_reset:.3f}s",
        }
        return {f"x-ratelimit-{name}": str(value) for name, value in values.items() if value is not None}

    def vector(self, content: Content, call: EmbeddingCall) -> FloatArray:
        """The vector `(dimension,)` of a content, of length 1: fixed by content, model, role and dimension."""
        name = f"{call.model}\0{call.role}\0{content.modality}\0{content.key}"
        seed = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
        values = np.random.default_rng(seed).standard_normal(call.dimension)
        vector: FloatArray = (values / np.linalg.norm(values)).astype(np.float32)
        return vector
