"""`TextEncoder`: texts by the embeddings endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from llm_multi_core.embedder import Item, Limits, Measure, Modality, Reply, Task, Usage
from llm_multi_core.embedder.hosted import estimate_texts, split_by_estimate
from llm_multi_core.embedder.inputs.text import estimate_tokens
from llm_multi_core_openai.encoder import OpenAIEncoder
from llm_multi_core_openai.tokens import ExactTokens, tiktoken_encoding


class TextEncoder(OpenAIEncoder):
    """Texts by the embeddings endpoint of OpenAI, Azure, or a server that speaks its API."""

    modality: ClassVar[Modality] = Modality.TEXT
    _exact: ExactTokens | None = None

    def limits(self) -> Limits:
        """Those of the endpoint; where tokens are counted exactly, none too many is sent."""
        limits = super().limits()
        return replace(limits, slack=1.0) if self._counts else limits

    @property
    def _counts(self) -> bool:
        return bool(self.options["tokenizer"] == "tiktoken")

    def identity(self) -> Mapping[str, str]:
        """Also how tokens are counted, which says where long texts are cut."""
        return {**super().identity(), "tokenizer": self.options["tokenizer"]}

    def load(self) -> None:
        """Also get the tokenizer, if tokens are to be counted exactly."""
        super().load()
        if self._counts:
            self._exact = ExactTokens(tiktoken_encoding(self.config.model))

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of each text with its prompt."""
        prompt = self.prompt(task.role)
        if self._exact is not None:
            return self._exact.measure(items, prompt)
        return estimate_texts(items, _overhead(prompt))

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """A text in pieces, each of which has room for the prompt."""
        prompt = self.prompt(task.role)
        if self._exact is not None:
            return self._exact.split(item, max_units, prompt)
        return split_by_estimate(item, max_units, _overhead(prompt))

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One request for all texts."""
        prompt = self.prompt(task.role)
        vectors, pace = await self.embed([prompt + item.text for item in items])
        return Reply(vectors.rows, Usage(vectors.tokens), pace)


def _overhead(prompt: str) -> int:
    return estimate_tokens(prompt) if prompt else 0
