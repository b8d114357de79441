"""`BridgeEncoder`: media that are first put into words by another model, and embedded as text.

The words of a batch are asked for at the same time, a bounded number in all, and then embedded by one
request. What was put into words already is kept until its vector is there, so that a request that is
sent again, or in halves, pays for no picture twice.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from llm_multi_core.embedder import EncoderConfig, InvalidInputError, Item, Reply, Task, Usage
from llm_multi_core_openai.catalogue import price_of
from llm_multi_core_openai.encoder import Embedded, OpenAIEncoder

KEPT = 1024
"""Most items whose words are kept for a request that is yet to succeed."""
_SEVERITY = ("denied", "fatal", "retry", "shorten", "shrink", "split")
"""Of several errors the one that says most about the requests that follow is raised."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a model said of one item.

    Attributes:
        text: the caption or transcript.
        units: what the model counted, in the unit of the limits.
        cost: US dollars, if known.
        reason: why the text is empty, where it is.
    """

    text: str
    units: int
    cost: float | None
    reason: str = ""


class BridgeEncoder(OpenAIEncoder):
    """Media by way of words.

    Attributes:
        concurrency_option: the option that bounds how many models are asked at the same time.
    """

    concurrency_option: ClassVar[str]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._words: OrderedDict[bytes, Words] = OrderedDict()
        self._gate: asyncio.Semaphore | None = None

    @abstractmethod
    async def put_into_words(self, media: Any) -> Words:
        """What the model says of one item's `EncodedMedia`."""

    @abstractmethod
    def usage_units(self, embedded: Embedded, words: Sequence[Words]) -> int:
        """What was used, in the unit of the limits."""

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """The words of all items, then one request for their vectors.

        Raises:
            InvalidInputError: if a model said nothing of an item.
        """
        words = await self._all_words(items)
        prompt = self.prompt(task.role)
        embedded = await self.embed([prompt + said.text for said in words])
        for item in items:
            self._words.pop(item.digest, None)
        return Reply(embedded.vectors.rows, self._usage(embedded, words))

    async def _all_words(self, items: Sequence[Item]) -> list[Words]:
        found = await asyncio.gather(*map(self._of, items), return_exceptions=True)
        errors = [result for result in found if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, Exception):
                raise error
        if errors:
            raise min(errors, key=self._severity)
        words = [result for result in found if isinstance(result, Words)]
        silent = next((said for said in words if not said.text.strip()), None)
        if silent is not None:
            raise InvalidInputError(silent.reason)
        return words

    def _severity(self, error: BaseException) -> int:
        return _SEVERITY.index(self.classify(error).action) if isinstance(error, Exception) else 0

    async def _of(self, item: Item) -> Words:
        known = self._words.get(item.digest)
        if known is not None:
            return known
        if self._gate is None:
            self._gate = asyncio.Semaphore(max(1, self.options[self.concurrency_option]))
        async with self._gate:
            said = await self.put_into_words(item.parts[0].payload)
        self._words[item.digest] = said
        while len(self._words) > KEPT:
            self._words.popitem(last=False)
        return said

    def _usage(self, embedded: Embedded, words: Sequence[Words]) -> Usage:
        price = price_of(self.config.model, self.options["prices"]).input
        costs = [None if price is None else embedded.vectors.tokens * price / 1e6, *(said.cost for said in words)]
        known = [cost for cost in costs if cost is not None]
        return Usage(
            self.usage_units(embedded, words),
            requests=1 + len(words),
            cost=sum(known) if len(known) == len(costs) else None,
        )

    def identity(self) -> Mapping[str, str]:
        """Also the model that finds the words, and what it is asked for."""
        return {**super().identity(), **{name: repr(self.options[name]) for name in self.identifying_options}}

    identifying_options: ClassVar[tuple[str, ...]]
    """The options that change the words."""
