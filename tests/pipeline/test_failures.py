"""Bad inputs, bad encoders, bad days: a clear error or a named failure, never a wrong vector."""

import numpy as np
import pytest

from llm_multi_core.embedder import (
    EmbedderError,
    EncoderMemoryError,
    EncodingError,
    InvalidInputError,
    InvalidOptionError,
    InvalidOutputError,
    Limits,
    ModelLoadError,
    PluginError,
    Verdict,
)
from llm_multi_core.embedder.encoders import Description, Encoder
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

POISON = "poison"
TEXTS = [f"text {number}" for number in range(70)]


def with_poison():
    texts = list(TEXTS)
    texts[10] = texts[60] = POISON
    return texts


class PoisonedEncoder(FakeTextEncoder):
    def forward(self, batch):
        items, _ = batch
        if any(item.text == POISON for item in items):
            raise ZeroDivisionError("cannot digest this")
        return super().forward(batch)


class PoisonedPreparation(FakeTextEncoder):
    def prepare(self, items, task, state=None):
        if any(item.text == POISON for item in items):
            raise ZeroDivisionError("cannot digest this")
        return super().prepare(items, task, state)


class NanEncoder(FakeTextEncoder):
    def forward(self, batch):
        rows = super().forward(batch)
        rows[[item.text == POISON for item in batch[0]]] = np.nan
        return rows


class ZeroEncoder(FakeTextEncoder):
    def forward(self, batch):
        rows = super().forward(batch)
        rows[[item.text == POISON for item in batch[0]]] = 0
        return rows


class ForgetfulEncoder(FakeTextEncoder):
    """Loses a row whenever the poison is in the batch."""

    def forward(self, batch):
        rows = super().forward(batch)
        return rows[1:] if any(item.text == POISON for item in batch[0]) else rows


class FatalEncoder(PoisonedEncoder):
    def classify(self, error):
        return Verdict("fatal")


class WrongDimension(FakeTextEncoder):
    def forward(self, batch):
        return super().forward(batch)[:, :5]


class Rubbish(FakeTextEncoder):
    def forward(self, batch):
        return "rubbish"


class SmallMemory(FakeTextEncoder):
    sizes: list[int] = []

    def forward(self, batch):
        type(self).sizes.append(len(batch[0]))
        if len(batch[0]) > 5:
            raise MemoryError("out of memory")
        return super().forward(batch)


class NoMemory(FakeTextEncoder):
    def forward(self, batch):
        raise MemoryError("out of memory")


class BadMeasure(FakeTextEncoder):
    def measure(self, items, task):
        from llm_multi_core.embedder import Measure

        return Measure([1])


class Unloadable(FakeTextEncoder):
    def load(self):
        raise RuntimeError("weights are garbage")


class Unmakeable(FakeTextEncoder):
    def __init__(self, config):
        raise RuntimeError("no")


class NoEmpty(FakeTextEncoder):
    def describe(self):
        base = super().describe()
        return Description(base.space, Limits(accepts_empty=False), base.native_dimension)


class NeitherKind(Encoder):
    describe = FakeTextEncoder.describe
    measure = FakeTextEncoder.measure
    split = FakeTextEncoder.split


@pytest.mark.parametrize(
    ("encoder", "error", "words"),
    [
        (PoisonedEncoder, EncodingError, "ZeroDivisionError: cannot digest this"),
        (PoisonedPreparation, EncodingError, "ZeroDivisionError: cannot digest this"),
        (NanEncoder, InvalidOutputError, "not finite"),
        (ZeroEncoder, InvalidOutputError, "zero vector"),
        (ForgetfulEncoder, InvalidOutputError, "0 rows for 1 inputs"),
    ],
)
def test_one_bad_item_is_found_and_the_others_are_unharmed(make_embedder, encoder, error, words):
    texts = with_poison()
    with pytest.raises(error, match=words) as caught:
        make_embedder(encoder).embed_batch(texts)
    assert caught.value.indices == (10, 60)
    result = make_embedder(encoder).run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [10, 60]
    assert np.flatnonzero(~result.ok).tolist() == [10, 60]
    assert np.isnan(result.vectors[[10, 60]]).all()
    good = [place for place in range(70) if place not in {10, 60}]
    np.testing.assert_allclose(
        result.vectors[good], make_embedder().embed_batch([texts[place] for place in good]), atol=1e-6
    )


def test_the_cause_is_kept(make_embedder):
    with pytest.raises(EncodingError) as caught:
        make_embedder(PoisonedEncoder).embed(POISON)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_fatal_error_ends_even_a_collecting_call(make_embedder):
    with pytest.raises(EncodingError, match="cannot digest"):
        make_embedder(FatalEncoder).run(with_poison(), on_error="collect")


@pytest.mark.parametrize(("encoder", "words"), [(WrongDimension, "rows of 5"), (Rubbish, "returned str")])
def test_output_of_the_wrong_form_is_refused(make_embedder, encoder, words):
    with pytest.raises(InvalidOutputError, match=words):
        make_embedder(encoder).embed_batch(TEXTS)


def test_what_does_not_fit_into_memory_is_halved_and_later_batches_stay_small(make_embedder):
    SmallMemory.sizes.clear()
    embedder = make_embedder(SmallMemory)
    np.testing.assert_allclose(embedder.embed_batch(TEXTS), make_embedder().embed_batch(TEXTS), atol=1e-6)
    failed = [size for size in SmallMemory.sizes if size > 5]
    assert failed == [32, 16, 8]
    SmallMemory.sizes.clear()
    embedder.embed_batch(TEXTS)
    assert max(SmallMemory.sizes) <= 5


def test_memory_for_not_even_one(make_embedder):
    with pytest.raises(EncoderMemoryError, match="alone") as caught:
        make_embedder(NoMemory).embed_batch(TEXTS)
    assert isinstance(caught.value, MemoryError)


def test_a_wrong_count_of_measures_is_refused(make_embedder):
    with pytest.raises(InvalidOutputError, match="measured 1 of 70"):
        make_embedder(BadMeasure).embed_batch(TEXTS)


def test_an_encoder_that_cannot_be_loaded_or_made(make_embedder):
    with pytest.raises(ModelLoadError, match="weights are garbage"):
        make_embedder(Unloadable).embed("a")
    with pytest.raises(PluginError, match="RuntimeError: no"):
        make_embedder(Unmakeable).embed("a")
    with pytest.raises(TypeError, match="neither"):
        make_embedder(NeitherKind).embed("a")


@pytest.mark.parametrize(
    "bad", [None, b"bytes", 3, 2.5, float("nan"), ["list"], np.zeros(3), "lone \ud800 surrogate", object()]
)
def test_bad_inputs_are_named_and_the_rest_is_embedded(make_embedder, bad):
    embedder = make_embedder()
    with pytest.raises(InvalidInputError, match="input 2: ") as caught:
        embedder.embed_batch(["a", "b", bad, "c"])
    assert caught.value.index == 2
    result = embedder.run(["a", "b", bad, "c"], on_error="collect")
    assert result.ok.tolist() == [True, True, False, True]
    np.testing.assert_allclose(result.vectors[result.ok], embedder.embed_batch(["a", "b", "c"]), atol=1e-6)


def test_only_bad_inputs(make_embedder):
    result = make_embedder().run([None, 3], on_error="collect")
    assert not result.ok.any()
    assert result.vectors.shape == (2, 8)


def test_an_empty_text_is_embedded_or_refused_by_name(make_embedder):
    assert np.isfinite(make_embedder().embed("")).all()
    with pytest.raises(InvalidInputError, match="input 1: the text is empty"):
        make_embedder(NoEmpty).embed_batch(["a", ""])
    result = make_embedder(NoEmpty).run(["", "a", ""], on_error="collect")
    assert result.ok.tolist() == [False, True, False]


def test_unknown_ways_to_treat_errors_and_roles(make_embedder):
    embedder = make_embedder()
    with pytest.raises(InvalidOptionError, match="on_error"):
        embedder.run(["a"], on_error="ignore")
    with pytest.raises(InvalidOptionError, match="'query', 'document', 'symmetric'"):
        embedder.embed("a", role="passage")
    with pytest.raises(InvalidOptionError, match="instruction"):
        embedder.embed("a", instruction="Find it")


def test_every_failure_is_of_the_librarys_own(make_embedder):
    result = make_embedder(PoisonedEncoder).run([None, POISON, "\ud800"], on_error="collect")
    assert len(result.failures) == 3
    assert all(isinstance(failure.error, EmbedderError) for failure in result.failures)
