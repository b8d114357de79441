"""Encoders that need no model: deterministic, instant, and with every output kind.

For the tests of applications and adapters, and of the pipeline itself. Their vectors depend on the
content, and on the role where they declare roles, and have no meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.encoders import (
    Description,
    EncoderConfig,
    HostedEncoder,
    Limits,
    LocalEncoder,
    Measure,
    Reply,
    Usage,
)
from llm_multi_core.embedder.frameworks import FrameworkSpec, Offer, OptionSpec
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Modality, Role, Task
from llm_multi_core.embedder.rows import FloatArray, Rows
from llm_multi_core.embedder.spaces import Space

FAKE_OPTIONS = (
    OptionSpec("dimension", int, 8, affects_space=True, summary="components of a vector"),
    OptionSpec("max_words", int, 16, summary="longest text, in words"),
    OptionSpec("roles", bool, False, summary="whether queries and documents differ"),
)


def fake_vector(content: str, dimension: int) -> FloatArray:
    """A fixed pseudo-random vector `(dimension,)` of a content, with entries between -1 and 1."""
    seed = int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "little")
    vector: FloatArray = np.random.default_rng(seed).uniform(-1, 1, dimension).astype(np.float32)
    return vector


def _content(item: Item) -> str:
    return "\x1f".join(f"{part.modality}:{part.payload}" for part in item.parts)


class _FakeText:
    """What the fakes of text share: a unit is a word, and over-long texts are cut between words."""

    config: EncoderConfig

    def describe(self) -> Description:
        """Dimension, limit and roles as the options say."""
        options = self.config.options
        dimension = self.config.dimensions or options.get("dimension", 8)
        return Description(
            space=Space(f"fake/{self.config.model}", dimension, label=f"fake {self.config.model}"),
            limits=Limits(unit="word", units_per_item=options.get("max_words", 16), items_per_batch=32),
            native_dimension=options.get("dimension", 8),
            roles=frozenset({Role.QUERY, Role.DOCUMENT} if options.get("roles") else ()),
            interleaves=True,
        )

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Words of each item, at least 1."""
        return Measure([max(1, sum(len(str(part.payload).split()) for part in item.parts)) for item in items])

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of `max_units` words."""
        words = item.text.split()
        return [text_item(" ".join(words[i : i + max_units])) for i in range(0, len(words), max_units)]

    def vectors(self, items: Sequence[Item], task: Task) -> FloatArray:
        """`(n, d)`: the fake vectors of the contents, under the role."""
        description = self.describe()
        dimension = description.space.dimension
        role = f"{task.role}|" if task.role in description.roles else ""
        stacked: FloatArray = np.stack([fake_vector(role + _content(item), dimension) for item in items])
        return stacked


class FakeTextEncoder(_FakeText, LocalEncoder):
    """A local text model."""

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> Any:
        """The batch as it is."""
        return list(items), task

    def forward(self, batch: Any) -> Rows | npt.ArrayLike:
        """The fake vectors."""
        items, task = batch
        return self.vectors(items, task)


class FakeHostedEncoder(_FakeText, HostedEncoder):
    """A hosted text model that answers at once."""

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """The fake vectors, with a usage of a unit a word."""
        return Reply(self.vectors(items, task), Usage(sum(self.measure(items, task).units)))


class FakeMultiVectorEncoder(FakeTextEncoder):
    """A late-interaction model: one vector per word."""

    def describe(self) -> Description:
        """As a text model, with multi-vector output scored by MaxSim."""
        base = super().describe()
        space = Space(base.space.name, base.space.dimension, output="multi", score="maxsim")
        return Description(space, base.limits, base.native_dimension)

    def forward(self, batch: Any) -> Rows:
        """Rows of as many vectors as the item has words, at least one."""
        items, _ = batch
        dimension = self.describe().space.dimension
        words = [item.text.split() or [""] for item in items]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in words])]).astype(np.int64)
        return Rows(np.stack([fake_vector(word, dimension) for row in words for word in row]), offsets)


class FakeSparseEncoder(FakeTextEncoder):
    """A lexical model: a weight for each distinct word of a vocabulary of 1,000."""

    VOCABULARY: ClassVar[int] = 1000

    def describe(self) -> Description:
        """As a text model, with sparse output scored by the dot product."""
        base = super().describe()
        space = Space(base.space.name, self.VOCABULARY, output="sparse", score="dot")
        return Description(space, base.limits, self.VOCABULARY)

    def forward(self, batch: Any) -> Rows:
        """Rows with the count of each word at the word's place in the vocabulary."""
        items, _ = batch
        offsets, indices, values = [0], [], []
        for item in items:
            counts: dict[int, int] = {}
            for word in item.text.split():
                place = int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "little") % self.VOCABULARY
                counts[place] = counts.get(place, 0) + 1
            for place in sorted(counts):
                indices.append(place)
                values.append(counts[place])
            offsets.append(len(indices))
        return Rows(np.asarray(values, np.float32), np.asarray(offsets, np.int64), np.asarray(indices, np.int64))


def fake_offer(
    encoder: type[Any] = FakeTextEncoder,
    name: str = "fake",
    modalities: tuple[Modality, ...] = (Modality.TEXT,),
    distribution: str = "llm-multi-core-fake",
) -> Offer:
    """An offer whose encoder is `encoder`, a module-level class."""
    spec = FrameworkSpec(
        name=name,
        modalities=modalities,
        target=f"{encoder.__module__}:{encoder.__qualname__}",
        default_model=dict.fromkeys(modalities, "fake-small"),
        options=FAKE_OPTIONS,
        summary="A deterministic fake for tests",
    )
    return Offer(spec, distribution, "0")
