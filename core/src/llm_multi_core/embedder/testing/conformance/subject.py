"""`Subject`: the encoder under test, driven bare and through the embedder.

The bare way gives the encoder one batch after another as the contract says, on the host's own
threads, and changes nothing about what comes back. The embedder's way is the users'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.encoders import Description, Encoder, HostedEncoder, LocalEncoder
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Role, Task
from llm_multi_core.embedder.pipeline.decode import decode_items
from llm_multi_core.embedder.pipeline.plan import plan_batches
from llm_multi_core.embedder.pipeline.run import arun_windows, run_windows, warn_of_truncation
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.rows import Rows
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.conformance.case import SAMPLE_TEXTS, EncoderCase
from llm_multi_core.embedder.testing.conformance.compare import Vectors, vectors_of

Way = Literal["bare", "embedder"]
_PLAIN = Task()


def embed_rows(
    embedder: BaseEmbedder[Any], inputs: Sequence[Any], role: str | None = None, instruction: str | None = None
) -> Rows:
    """What an embedder makes of inputs, whatever kind of rows that is."""
    resolved = embedder._resolve()
    if resolved.space.output == "dense":
        return Rows(embedder.run(inputs, role, instruction=instruction).vectors)
    with embedder._open(inputs, role, instruction, resolved=resolved) as call:
        blocks = list(run_windows(resolved, call, embedder._items(call, inputs)))
    warn_of_truncation(resolved, call.truncation, call.report)
    return Rows.concat([Rows.empty(resolved.space.dimension, resolved.space.output), *blocks])


async def aembed_rows(embedder: BaseEmbedder[Any], inputs: Sequence[Any]) -> Rows:
    """The same by the asynchronous way."""
    resolved = await runtime.in_thread(embedder._resolve)
    if resolved.space.output == "dense":
        return Rows((await embedder.arun(inputs)).vectors)
    with embedder._open(inputs, None, None, resolved=resolved) as call:
        blocks = [block async for block in arun_windows(resolved, call, embedder._items(call, inputs))]
    return Rows.concat([Rows.empty(resolved.space.dimension, resolved.space.output), *blocks])


class BareEncoder:
    """An encoder without the pipeline; made at once, loaded when it is first needed."""

    def __init__(self, subject: Subject, **changes: Any) -> None:
        settings = subject.settings(**changes)
        module, _, name = settings.offer.spec.target.partition(":")
        self.config = settings.encoder_config(changes.get("dimensions"))
        self.encoder: Encoder = getattr(import_module(module), name)(self.config)
        self._loaded = False

    def loaded(self) -> Encoder:
        """The encoder, ready to encode."""
        if not self._loaded:
            if isinstance(self.encoder, HostedEncoder):
                self.encoder.load()
            else:
                runtime.submit_model(self.encoder.load).result()
            self._loaded = True
        return self.encoder

    def encode(self, items: Sequence[Item], task: Task = _PLAIN) -> Rows:
        """Rows of the items, in consecutive batches within the encoder's limits."""
        encoder = self.loaded()
        measure = encoder.measure(items, task)
        longest = max((int(units) for units in measure.units), default=1)
        keys = [encoder.batch_key(item) for item in items]
        # Not sorted, and as if all items were as long as the longest, which keeps within padded limits.
        limits = replace(encoder.describe().limits, padded=False)
        batches = plan_batches(items, [longest] * len(items), keys, limits)
        members = [member for batch in batches for member in batch.members]
        rows = Rows.concat([self._run(items, measure.state, batch.members, task) for batch in batches])
        if len(rows) != len(items):
            return rows
        places = [0] * len(members)
        for position, member in enumerate(members):
            places[member] = position
        return rows.take(places)

    def _run(self, items: Sequence[Item], state: Sequence[Any] | None, members: list[int], task: Task) -> Rows:
        batch = [items[member] for member in members]
        intake = self.encoder.describe().intake
        if intake is not None:
            batch, errors = decode_items(batch, intake)
            assert not errors, f"samples that cannot be decoded: {errors}"
        if isinstance(self.encoder, HostedEncoder):
            return Rows.of(runtime.submit_io(self.encoder.request(batch, task)).result().rows)
        assert isinstance(self.encoder, LocalEncoder), f"{self.encoder} is neither a local nor a hosted encoder"
        kept = () if state is None else ([state[member] for member in members],)
        return Rows.of(runtime.submit_model(self.encoder.forward, self.encoder.prepare(batch, task, *kept)).result())

    def close(self) -> None:
        """Free it."""
        if isinstance(self.encoder, HostedEncoder):
            runtime.submit_io(self.encoder.aclose()).result()
        self.encoder.close()


class Subject:
    """The encoder of a case, with what several tests need of it; shared by the tests of a class."""

    def __init__(self, case: EncoderCase) -> None:
        self.case = case
        self.offer = case.offer()
        self._alone: dict[Way, list[Vectors]] = {}

    def settings(self, **changes: Any) -> EmbedderSettings:
        """The settings of the case, or others."""
        return self.case.settings(self.offer, changes)

    def new_embedder(self, **changes: Any) -> BaseEmbedder[Any]:
        """Another embedder of the case, or one with other settings; to be closed by the caller."""
        return self.case.embedder(self.settings(**changes))

    @cached_property
    def bare(self) -> BareEncoder:
        """The encoder without the pipeline."""
        return BareEncoder(self)

    @cached_property
    def embedder(self) -> BaseEmbedder[Any]:
        """The embedder of the case; as long as it lives, others share its encoder."""
        return self.new_embedder()

    @cached_property
    def description(self) -> Description:
        """What the encoder says of itself."""
        return self.bare.encoder.describe()

    @cached_property
    def samples(self) -> list[Item]:
        """All samples as items."""
        return [self.item(sample) for sample in self.case.samples]

    @cached_property
    def items(self) -> list[Item]:
        """The samples within the encoder's limit, whatever the role."""
        limit = self.description.limits.units_per_item
        if limit is None:
            return self.samples
        encoder = self.bare.loaded()
        fitting = set(range(len(self.samples)))
        for task in self.tasks:
            units = encoder.measure(self.samples, task).units
            fitting -= {place for place, count in enumerate(units) if count > limit}
        assert len(fitting) >= 5, f"only {len(fitting)} samples are within the limit of {limit}; at least 5 are due"
        return [self.samples[place] for place in sorted(fitting)]

    @cached_property
    def long_items(self) -> list[Item]:
        """Items beyond the limit: the case's own, or texts of words, of lines, and in other scripts."""
        limit = self.description.limits.units_per_item
        assert limit is not None, "there is no limit to be beyond of"
        if self.case.long_sample is not None:
            items = [self.item(self.case.long_sample)]
        else:
            seeds = (" ".join(SAMPLE_TEXTS), "\n".join(SAMPLE_TEXTS), "снег идёт 雪が降る ❄️🌨 ")
            items = [text_item(self._lengthen(seed, 2 * limit)) for seed in seeds]
        units = [int(count) for count in self.bare.loaded().measure(items, _PLAIN).units]
        assert min(units) > limit, f"over-long samples of {units} units are within the limit of {limit}"
        return items

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """How many units texts count for."""
        items = [text_item(text) for text in texts]
        return [int(count) for count in self.bare.loaded().measure(items, _PLAIN).units]

    def _lengthen(self, seed: str, units: int) -> str:
        """The text repeated until it counts for more than `units`."""
        text = seed
        while self.sizes([text])[0] <= units:
            assert len(text) < 1000 * units, f"a text of {len(text)} characters counts for {self.sizes([text])[0]}"
            text = f"{text} {text}"
        return text

    @property
    def tasks(self) -> list[Task]:
        """The plain task, those of the declared roles, and one with an instruction if they are followed."""
        roles = [Task(role) for role in sorted(self.description.roles) if role is not Role.SYMMETRIC]
        instructed = [Task(Role.QUERY, self.case.instruction)] if self.description.instructions else []
        return [_PLAIN, *roles, *instructed]

    def item(self, sample: Any) -> Item:
        """A sample as an item."""
        return sample if isinstance(sample, Item) else self.embedder._item(sample)

    def rows(self, way: Way, items: Sequence[Item], task: Task = _PLAIN) -> Rows:
        """Rows of items by one of the two ways."""
        if way == "bare":
            return self.bare.encode(items, task)
        return embed_rows(self.embedder, items, task.role, task.instruction)

    def vectors(self, way: Way, items: Sequence[Item], task: Task = _PLAIN) -> list[Vectors]:
        """The same as vectors that can be compared."""
        return self.spread(self.rows(way, items, task))

    def spread(self, rows: Rows) -> list[Vectors]:
        """Rows as vectors that can be compared."""
        return vectors_of(rows, self.description.space.dimension)

    def alone(self, way: Way) -> list[Vectors]:
        """The vectors of the items, each encoded by itself."""
        if way not in self._alone:
            self._alone[way] = [vectors for item in self.items for vectors in self.vectors(way, [item])]
        return self._alone[way]

    def close(self) -> None:
        """Free what was made."""
        for name in ("bare", "embedder"):
            if name in vars(self):
                getattr(self, name).close()
