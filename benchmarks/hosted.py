"""Texts to a provider on the loopback interface: ours, langchain-openai's and llama-index's OpenAI embeddings.

The provider is a process of its own that answers 100 ms after a request came, with vectors of 1,536 components
that were written beforehand. First without a limit, all in turns of one process. Then with a limit of tokens a
minute, each contestant with a provider of its own, whose bucket is full at first, as after a pause.

Each contestant has its own defaults, and langchain-openai is spared its tokenizer (`check_embedding_ctx_length=False`).
Ours returns an array; "ours in LangChain" is the adapter, which returns lists as its peers do.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.openai import OpenAIEmbedding
from paired import median_ratio, publish, take_turns
from provider_process import POOL, WrittenWire, provider
from texts import sample_texts

from langchain_llm_multi_core import MultiCoreEmbeddings
from llm_multi_core.embedder import create_text_embedder

MODEL, KEY = "text-embedding-3-small", "a-key"
LATENCY = 0.1
"""Seconds from a request to its reply, at least."""
Embed = Callable[[list[str]], Any]


def contestants(url: str, loop: asyncio.Runner) -> dict[str, Embed]:
    """The contestants, by name, each a function of texts. Asynchronous ones run on one loop all the time."""
    ours = create_text_embedder("openai", base_url=url, api_key=KEY)
    adapter = MultiCoreEmbeddings(framework="openai", base_url=url, api_key=KEY)
    langchain = OpenAIEmbeddings(model=MODEL, base_url=url, api_key=lambda: KEY, check_embedding_ctx_length=False)
    llama_index = OpenAIEmbedding(model=MODEL, api_base=url, api_key=KEY)
    return {
        "ours": ours.embed_batch,
        "ours in LangChain": adapter.embed_documents,
        "langchain-openai": langchain.embed_documents,
        "langchain-openai, async": lambda texts: loop.run(langchain.aembed_documents(texts)),
        "llama-index": llama_index.get_text_embedding_batch,
        "llama-index, async": lambda texts: loop.run(llama_index.aget_text_embedding_batch(texts)),
    }


def check(texts: list[str], vectors: Any) -> None:
    """Stop the benchmark if a contestant's vectors are not those that the provider sends."""
    expected = WrittenWire().pool[[crc32(text.encode()) % POOL for text in texts]]
    np.testing.assert_allclose(np.asarray(vectors, np.float32), expected, atol=1e-6)


def fastest(seconds: Mapping[str, list[float]], *names: str) -> list[float]:
    """The seconds of the contestant whose median is the lowest."""
    return seconds[min(names, key=lambda name: statistics.median(seconds[name]))]


def race(count: int, turns: int) -> None:
    """Without a limit: everybody embeds `count` texts `turns` times, in turns."""
    texts = sample_texts(count)
    with provider(LATENCY) as url, asyncio.Runner() as loop:
        embeds = contestants(url, loop)
        for embed in embeds.values():
            check(texts, embed(texts))
        gc.collect()  # of what was imported, once and for all contestants
        seconds = take_turns({name: partial(embed, texts) for name, embed in embeds.items()}, turns)
    ours = seconds["ours"]
    publish(
        f"hosted_{count}",
        f"{count} texts, {LATENCY * 1000:.0f} ms a request, {turns} turns (medians)",
        ["contestant", "seconds", "texts/s", "times as long as ours"],
        [
            [name, statistics.median(times), count / statistics.median(times), median_ratio(times, ours)]
            for name, times in seconds.items()
        ],
        {
            "ours against langchain-openai, the better of sync and async": median_ratio(
                fastest(seconds, "langchain-openai", "langchain-openai, async"), ours
            ),
            "ours against llama-index, the better of sync and async": median_ratio(
                fastest(seconds, "llama-index", "llama-index, async"), ours
            ),
            "ours against llama-index, sync": median_ratio(seconds["llama-index"], ours),
        },
    )


def limit(count: int, tokens_per_minute: int) -> None:
    """With a limit: everybody embeds `count` texts once."""
    texts = sample_texts(count)
    tokens = sum(len(text.split()) for text in texts)  # as this provider counts
    # The bucket holds a minute's worth at first. The last request can go when all tokens beyond that have flowed in.
    allowed = max(0.0, tokens - tokens_per_minute) / (tokens_per_minute / 60) + LATENCY
    rows: list[list[Any]] = []
    for name in ("ours", "langchain-openai", "langchain-openai, async", "llama-index", "llama-index, async"):
        with ExitStack() as stack:
            url = stack.enter_context(provider(LATENCY, tokens_per_minute))
            embed = contestants(url, stack.enter_context(asyncio.Runner()))[name]
            started = time.perf_counter()
            try:
                vectors = embed(texts)
            except Exception as error:  # noqa: BLE001 - a contestant that gives up is a result
                rows.append([name, time.perf_counter() - started, type(error).__name__])
                continue
            seconds = time.perf_counter() - started
            check(texts, vectors)
            rows.append([name, seconds, allowed / seconds])
    publish(
        "hosted_limit",
        f"{count} texts of {tokens} tokens, {tokens_per_minute} tokens a minute",
        ["contestant", "seconds", "share of what the limit allows"],
        rows,
        {
            "what the limit allows, seconds": allowed,
            "that is": "(tokens - a minute's worth, in the bucket at first) / tokens a second + one latency",
            "share that ours reaches": rows[0][2],
        },
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, nargs="*", default=[5000, 10_000])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--limited-texts", type=int, default=5000, help="0 leaves the limit out")
    parser.add_argument("--tokens-per-minute", type=int, default=300_000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for count in arguments.texts:
        race(count, arguments.turns)
    if arguments.limited_texts:
        limit(arguments.limited_texts, arguments.tokens_per_minute)


if __name__ == "__main__":
    main()
