"""A provider in a process of its own, fast enough not to be what is measured: its vectors are written beforehand."""

from __future__ import annotations

import base64
import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from multiprocessing.connection import Connection
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, HostedServer, HttpReply
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire

POOL = 1024
"""Different vectors; a text has the one that its checksum says."""


class WrittenWire(OpenAIWire):
    """OpenAI's wire with vectors that are in its form already."""

    @cached_property
    def pool(self) -> npt.NDArray[np.float32]:
        """`(POOL, 1536)`, of length 1."""
        values = np.random.default_rng(0).standard_normal((POOL, 1536)).astype(np.float32)
        pool: npt.NDArray[np.float32] = values / np.linalg.norm(values, axis=1, keepdims=True)
        return pool

    @cached_property
    def _written(self) -> Mapping[str, list[bytes]]:
        """The vectors as they stand in a reply, by encoding."""
        return {
            "base64": [json.dumps(base64.b64encode(row.tobytes()).decode()).encode() for row in self.pool],
            "float": [json.dumps(row.tolist()).encode() for row in self.pool],
        }

    def prepare(self) -> None:
        """Write all vectors now."""
        assert self._written

    def vector(self, content: Content, call: EmbeddingCall) -> Any:
        """Its number in the pool."""
        return crc32(content.key.encode()) % POOL

    def write(self, call: EmbeddingCall, vectors: Sequence[Any], order: Sequence[int]) -> HttpReply:
        """The reply, put together."""
        written = self._written[call.extra["encoding"]]
        entries = b",".join(
            b'{"object":"embedding","index":%d,"embedding":%b}' % (place, written[vectors[place]]) for place in order
        )
        body = b'{"object":"list","data":[%b],"model":"%b","usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (
            entries,
            call.model.encode(),
            call.units,
            call.units,
        )
        return HttpReply(200, body, {"content-type": "application/json"})


@contextmanager
def provider(latency: float, tokens_per_minute: int | None = None) -> Iterator[str]:
    """The base URL of a provider that answers after `latency` seconds, for the length of the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, latency, tokens_per_minute), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


def _serve(connection: Connection, latency: float, tokens_per_minute: int | None) -> None:
    wire = WrittenWire()
    wire.prepare()
    limits = replace(wire.limits, units_per_minute=tokens_per_minute)
    with HostedServer(wire, latency=latency, limits=limits) as server:
        connection.send(server.base_url)
        connection.recv()
