"""Encoders that break one promise each, with the kit run on them by `test_wrong_encoders`."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_multi_core.embedder import Credentials, FrameworkSpec, Measure, Modality, Role, Task
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder, fake_offer, fake_vector


class Right(EncoderConformance):
    encoder: Any = FakeTextEncoder
    settings: dict[str, Any] = {}

    @pytest.fixture
    def case(self):
        return EncoderCase(fake_offer(self.encoder), **{"examples": 8, **self.settings})


# Vectors.


class ReversedOrder(FakeTextEncoder):
    def forward(self, batch):
        return super().forward(batch)[::-1]


class NotFinite(FakeTextEncoder):
    def forward(self, batch):
        vectors = super().forward(batch)
        vectors[-1, 0] = np.nan
        return vectors


class LosesRows(FakeTextEncoder):
    def forward(self, batch):
        vectors = super().forward(batch)
        return vectors[:-1] if len(vectors) > 1 else vectors


class OtherDimension(FakeTextEncoder):
    def forward(self, batch):
        vectors = super().forward(batch)
        return np.concatenate([vectors, vectors[:, :1]], axis=1)


class BatchNorm(FakeTextEncoder):
    def forward(self, batch):
        vectors = super().forward(batch)
        return vectors - vectors.mean(axis=0) / 2 if len(vectors) > 1 else vectors


class SeesPadding(FakeTextEncoder):
    def forward(self, batch):
        items, task = batch
        return super().forward(batch) + 0.1 * max(self.measure(items, task).units)


class Noisy(FakeTextEncoder):
    noise = np.random.default_rng(3)

    def forward(self, batch):
        vectors = super().forward(batch)
        return vectors + self.noise.normal(0, 0.1, vectors.shape)


class Constant(FakeTextEncoder):
    def forward(self, batch):
        return np.ones_like(super().forward(batch))


class CrashesOnEmpty(FakeTextEncoder):
    def forward(self, batch):
        if not all(item.text for item in batch[0]):
            raise ValueError("empty")
        return super().forward(batch)


class DiffersByInstance(FakeTextEncoder):
    made = 0

    def load(self):
        DiffersByInstance.made += 1
        self.weights = fake_vector(f"instance {self.made}", self.describe().space.dimension)

    def forward(self, batch):
        return super().forward(batch) * self.weights


# Tasks.


class RoleIgnored(FakeTextEncoder):
    def describe(self):
        return replace(super().describe(), roles=frozenset({Role.QUERY, Role.DOCUMENT}))

    def forward(self, batch):
        return super().forward((batch[0], Task()))


class UndeclaredRoleUsed(FakeTextEncoder):
    def forward(self, batch):
        items, task = batch
        mark = f"{task.role} " if task.role is Role.QUERY else ""
        return super().forward(([text_item(mark + item.text) for item in items], task))


class InstructionIgnored(FakeTextEncoder):
    def describe(self):
        return replace(super().describe(), instructions=True)


class DimensionsIgnored(FakeTextEncoder):
    def forward(self, batch):
        asked, self.config = self.config, replace(self.config, dimensions=None)
        try:
            return super().forward(batch)
        finally:
            self.config = asked


# Lengths.


class SplitLosesWords(FakeTextEncoder):
    def split(self, item, max_units, task):
        return [text_item(" ".join(piece.text.split()[1:])) for piece in super().split(item, max_units, task)]


class SplitTooLong(FakeTextEncoder):
    def split(self, item, max_units, task):
        return super().split(item, max_units + 1, task)


class MeasuresTooFew(FakeTextEncoder):
    def measure(self, items, task):
        return Measure(super().measure(items, task).units[:-1] or [1])


class MeasuresTheBatch(FakeTextEncoder):
    def measure(self, items, task):
        return Measure([max(super().measure(items, task).units)] * len(items))


class MeasuresOne(FakeTextEncoder):
    def measure(self, items, task):
        return Measure([1] * len(items))


class ClaimsToTruncate(FakeTextEncoder):
    def describe(self):
        description = super().describe()
        return replace(description, limits=replace(description.limits, truncates=True))

    def forward(self, batch):
        if max(self.measure(*batch).units) > 16:
            raise ValueError("index out of range in position embeddings")
        return super().forward(batch)


# What it says of itself.


class OpensFilesWhenMade(FakeTextEncoder):
    def __init__(self, config):
        super().__init__(config)
        self.source = (Path(__file__).parent / "weights.bin").open("a")
        self.source.close()
        (Path(__file__).parent / "weights.bin").unlink()


class DescribesOnlyWhenLoaded(FakeTextEncoder):
    width = 0

    def load(self):
        self.width = 8

    def describe(self):
        description = super().describe()
        return replace(description, space=replace(description.space, dimension=self.width or 16))


class LiesAboutOutput(FakeTextEncoder):
    def describe(self):
        description = super().describe()
        return replace(description, space=replace(description.space, output="multi", score="maxsim"))


class UnstableIdentity(FakeTextEncoder):
    def identity(self):
        return {"engine": str(id(self))}


class ShowsItsKey(FakeHostedEncoder):
    def __repr__(self):
        return f"ShowsItsKey({self.config.secret.reveal() if self.config.secret else None})"


# Use.


class ReadsPaths(FakeTextEncoder):
    def prepare(self, items, task, state=None):
        return [self._read(item) for item in items], task

    def _read(self, item):
        if item.text.startswith("/") and Path(item.text).is_file():
            return text_item(Path(item.text).read_text(encoding="utf-8"))
        return item


class BoundToOneThread(FakeTextEncoder):
    thread = None

    def measure(self, items, task):
        self.thread = self.thread or threading.get_ident()
        if self.thread != threading.get_ident():
            raise RuntimeError("used in another thread")
        return super().measure(items, task)


def _conformance(encoder: Any, **settings: Any) -> type:
    return type(f"Test{encoder.__name__}", (Right,), {"encoder": encoder, "settings": settings, "__module__": __name__})


TestRight = _conformance(FakeTextEncoder)
for _encoder in (
    ReversedOrder,
    NotFinite,
    LosesRows,
    OtherDimension,
    BatchNorm,
    SeesPadding,
    Noisy,
    Constant,
    CrashesOnEmpty,
    DiffersByInstance,
    RoleIgnored,
    UndeclaredRoleUsed,
    InstructionIgnored,
    DimensionsIgnored,
    SplitLosesWords,
    SplitTooLong,
    MeasuresTooFew,
    MeasuresTheBatch,
    MeasuresOne,
    ClaimsToTruncate,
    OpensFilesWhenMade,
    DescribesOnlyWhenLoaded,
    LiesAboutOutput,
    UnstableIdentity,
    ReadsPaths,
    BoundToOneThread,
):
    globals()[f"Test{_encoder.__name__}"] = _conformance(_encoder)


class TestOptionIsForgotten(Right):
    settings = {"variations": [{"max_words": 12}]}


class TestShowsItsKey(EncoderConformance):
    @pytest.fixture
    def case(self):
        spec = FrameworkSpec(
            "shows-its-key",
            (Modality.TEXT,),
            f"{__name__}:ShowsItsKey",
            default_model={Modality.TEXT: "m"},
            options=fake_offer().spec.options,
            hosted=True,
            credentials=Credentials(("SHOWN_API_KEY",)),
        )
        return EncoderCase(spec)


class TestOverridesInSilence(Right):
    def test_order_of_inputs_is_kept(self):
        pass


class TestRemovesInSilence(Right):
    test_order_of_inputs_is_kept = None


class TestOverridesWithoutReason(Right):
    @pytest.mark.xfail(strict=False)
    def test_order_of_inputs_is_kept(self):
        raise AssertionError


class TestExpectsFailureWithReason(Right):
    @pytest.mark.xfail(reason="this provider sorts")
    def test_order_of_inputs_is_kept(self):
        raise AssertionError


class TestNoCase(EncoderConformance):
    pass
